"""Folders of files that are known by their SHA-256: bundles, and edgevid itself."""

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import tarfile

from edgevid.benchmarks.devices.board.lock import Problem

KEPT = {"bundles": 20, "packages": 3, "videos": 5}
INDEX = ".files.json"
"""The names and digests of a folder, for other folders that want the same file."""


def root_folder():
    """Where this user's files for measurements are kept."""
    cache = os.environ.get("EDGEVID_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache"), "edgevid"
    )
    reasons = []
    for folder in (os.path.join(cache, "board"), "/data/local/tmp/edgevid-board"):
        try:
            os.makedirs(folder, 0o700, exist_ok=True)
            if os.stat(folder).st_uid == os.getuid() and os.access(folder, os.W_OK):
                return folder
            reasons.append(f"{folder} is not writable")
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            reasons.append(f"{folder} ({error.strerror})")
    raise Problem(
        "no folder for files can be made there: {}. Set EDGEVID_CACHE there".format("; ".join(reasons))
    )


def folder_of(root, kind, identity):
    if kind not in KEPT or not re.match("[0-9a-f]{64}$", identity):
        raise Problem(f"a folder '{identity}' of '{kind}' is not one of edgevid's: update edgevid")
    return os.path.join(root, kind, identity)


def missing(root, kind, identity, files):
    """Prepare a folder for ``files``, digests by name; returns the names that must be sent."""
    folder = folder_of(root, kind, identity)
    os.makedirs(folder, exist_ok=True)
    os.utime(folder, None)
    absent = [name for name, digest in files.items() if digest_of(path_of(folder, name)) != digest]
    if absent:
        known = _known(root, kind, identity)
        absent = [
            name for name in absent if not _reuse(known.get(files[name]), path_of(folder, name), files[name])
        ]
    with open(os.path.join(folder, INDEX), "w") as index:
        json.dump(files, index)
    _remove_oldest(os.path.join(root, kind), KEPT[kind])
    return absent


def unpack(stream, folder, files):
    """Unpack a tar of some of ``files`` into ``folder``; whatever is not what its digest says is refused."""
    partial = os.path.join(folder, ".part")
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            if not member.isreg() or member.name not in files:
                raise Problem("a file that nobody asked for was sent: try again")
            digest = hashlib.sha256()
            with open(partial, "wb") as target:
                for chunk in _chunks(archive.extractfile(member)):
                    digest.update(chunk)
                    target.write(chunk)
            if digest.hexdigest() != files[member.name]:
                os.unlink(partial)
                raise Problem(f"'{member.name}' arrived damaged: try again")
            os.chmod(partial, 0o755 if member.mode & 0o100 else 0o644)
            os.replace(partial, _make_way(folder, member.name))


def path_of(folder, name):
    """The path of ``name`` in ``folder``, from which no name leads away."""
    if "\0" in name or "\\" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise Problem(f"{name!r} is not the name of a file in a folder: do not use this bundle")
    return os.path.join(folder, *name.split("/"))


def digest_of(path):
    """The SHA-256 of a regular file; None if there is none."""
    digest = hashlib.sha256()
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return None
        with open(path, "rb") as file:
            for chunk in _chunks(file):
                digest.update(chunk)
    except OSError:
        return None
    return digest.hexdigest()


def _chunks(file):
    return iter(lambda: file.read(1 << 20), b"")


def free_bytes(folder):
    return shutil.disk_usage(folder).free


def _make_way(folder, name):
    """The path of ``name``, in folders that exist and are no links."""
    path = path_of(folder, name)
    parent = folder
    for part in name.split("/")[:-1]:
        parent = os.path.join(parent, part)
        if os.path.islink(parent) or (os.path.lexists(parent) and not os.path.isdir(parent)):
            os.unlink(parent)
        os.makedirs(parent, exist_ok=True)
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    return path


def _known(root, kind, but):
    """Paths by digest in the other folders of this kind, as they say."""
    paths = {}
    parent = os.path.join(root, kind)
    for identity in os.listdir(parent):
        if identity == but:
            continue
        folder = os.path.join(parent, identity)
        try:
            with open(os.path.join(folder, INDEX)) as index:
                paths.update({digest: path_of(folder, name) for name, digest in json.load(index).items()})
        except (OSError, ValueError, AttributeError, Problem):
            continue
    return paths


def _reuse(source, path, digest):
    """Copy ``source`` to ``path`` if it still has its digest; whether that was done."""
    if source is None or digest_of(source) != digest:
        return False
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.copyfile(source, path + ".part")
    shutil.copymode(source, path + ".part")
    os.replace(path + ".part", path)
    return True


def _remove_oldest(parent, kept):
    folders = [os.path.join(parent, name) for name in os.listdir(parent)]
    for folder in sorted(folders, key=os.path.getmtime)[:-kept]:
        shutil.rmtree(folder, ignore_errors=True)
