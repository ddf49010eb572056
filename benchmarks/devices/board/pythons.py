"""The Pythons of a board, and which of them can run edgevid's runner."""

import glob
import json
import os
import subprocess
import sys

from edgevid.benchmarks.devices.board.files import digest_of, path_of

OLDEST = (3, 10)
OWN = "~/.edgevid/bin/python3"
"""A virtual environment for edgevid, if a board has one there."""
QUESTION = """
import importlib.util, json, sys
edgevid = importlib.util.find_spec("edgevid")
print(json.dumps({
    "version": list(sys.version_info[:3]),
    "missing": [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None],
    "edgevid": list(edgevid.submodule_search_locations or ()) if edgevid else [],
}))
"""


def choose(packages, given):
    """The best Python, as ``{"python", "version", "missing", "edgevid"}``; None if none runs.

    ``missing`` lists the ``packages`` that it has not got; the first ones count more.
    """

    def rank(answer):
        return (tuple(answer["version"]) < OLDEST, [name in answer["missing"] for name in packages])

    return min(filter(None, (ask(python, packages) for python in candidates(given))), key=rank, default=None)


def candidates(given):
    """Paths of Pythons: the user's choice alone, else edgevid's own environment, this one, and others."""
    if given:
        return [os.path.expanduser(given)]
    paths = [os.path.expanduser(OWN), sys.executable]
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        paths += sorted(glob.glob(os.path.join(glob.escape(folder), "python3.[0-9]*")), reverse=True)
    usable = []
    for path in paths:
        name = os.path.basename(path)
        if path and "-" not in name and os.access(path, os.X_OK) and path not in usable:
            usable.append(path)
    return usable[:8]


def ask(python, packages):
    """What ``python`` says about itself; None if it does not run."""
    try:
        process = subprocess.Popen(
            [python, "-c", QUESTION, *packages],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
        with process:
            output = process.communicate(timeout=60)[0]
        answer = json.loads(output.decode())
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    answer["python"] = python
    return answer


def has_the_same_edgevid(answer, files):
    """Whether the edgevid that a Python imports has ``files``, digests by name, just as they are here."""
    for folder in answer["edgevid"]:
        parent = os.path.dirname(folder)
        own = {name: digest for name, digest in files.items() if name.startswith("edgevid/")}
        if all(digest_of(path_of(parent, name)) == digest for name, digest in own.items()):
            return True
    return False
