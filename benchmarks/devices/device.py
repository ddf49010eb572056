"""A board, and what is asked of it: take a bundle, measure it, give back what has finished."""

from __future__ import annotations

import getpass
import io
import json
import os
import re
import socket
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from edgevid.benchmarks.devices import package
from edgevid.benchmarks.devices.connection import Connection, Event
from edgevid.benchmarks.devices.link import Link
from edgevid.benchmarks.devices.trtexec import SERIES, measured_by_trtexec, refuse_what_it_cannot
from edgevid.benchmarks.harness.protocol import Progress, Request, error_from
from edgevid.benchmarks.harness.scenarios import scenario_named
from edgevid.bundle.bundle import MANIFEST, Bundle
from edgevid.bundle.manifest import MANIFEST_HASH
from edgevid.errors import BenchmarkError
from edgevid.host.digest import sha256_of
from edgevid.host.environment import checkout
from edgevid.specs import LOCAL
from edgevid.specs.records import UNPRINTABLE

PYTHON = "EDGEVID_DEVICE_PYTHON"
"""The environment variable with the path of the Python to use on boards."""

REPORT_S = 10.0
Emit = Callable[[dict[str, Any]], None]


class Device:
    """A board behind ``link``. The first call connects, and waits until nobody else measures there.

    ``tell`` gets events of progress. Every method raises ``BenchmarkError``, one line with what to do.
    """

    def __init__(self, link: Link, tell: Emit = lambda event: None) -> None:
        self.address = link.address
        self.tell = tell
        self._link = link
        self._connection: Connection | None = None
        self._locked = False

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the board to others."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self._locked = None, False

    def push(self, path: str | os.PathLike[str]) -> str:
        """Send the files of a bundle that the board has not got; returns the bundle's name there."""
        bundle = Bundle.open(path)
        self._lock(f"getting ready for {bundle.manifest.model}")
        files = {
            **bundle.manifest.files,
            **{name: sha256_of(bundle.path / name) for name in (MANIFEST, MANIFEST_HASH)},
        }

        def bundle_file(name: str) -> IO[bytes]:
            return open(bundle.path / name, "rb")

        self._put("bundles", bundle.sha256, files, bundle_file)
        return bundle.sha256

    def run(self, request: Request, emit: Emit) -> dict[str, Any]:
        """Measure the bundle of ``request`` on the board; ``emit`` gets its progress. Returns the result."""
        self.tell = emit
        event = self._ask({"do": "run", "detach": False, "runs": [self._prepared(request)]})
        error = error_from(event) if event["event"] == "error" else None
        result = {} if error else self._result(request, event)
        self._ask({"do": "forget", "ids": [event["id"]]})
        if error:
            raise error
        return result

    def detach(self, requests: Sequence[Request], emit: Emit) -> None:
        """Let the board measure ``requests`` one after another by itself, whether or not it is connected."""
        self.tell = emit
        runs = [self._prepared(request) for request in requests]
        self._ask({"do": "run", "detach": True, "runs": runs})
        self.close()

    def finished(self) -> list[Event]:
        """What this user let the board measure and has not fetched: ``id``, ``request`` and ``event``."""
        return self._ask({"do": "finished"})["entries"]

    def result(self, entry: Event) -> dict[str, Any]:
        """The result of an entry of ``finished``; raises the error that it ended with."""
        return self._result(Request.from_json(json.dumps(entry["request"])), entry["event"])

    def forget(self, entries: Sequence[Event]) -> None:
        """Remove what was ``finished`` from the board."""
        self._ask({"do": "forget", "ids": [entry["id"] for entry in entries]})

    def _ask(self, question: Event, data: Watched | None = None) -> Event:
        if self._connection is None:
            self._say(f"connecting to {self.address}")
            self._connection = Connection(self._link, os.environ.get(PYTHON))
            waiting = self._connection.ask({"do": "hello", "owner": owner()})["finished"]
            if waiting:
                self._say(f"{waiting} finished measurement(s) wait there: --collect fetches them")
        return self._connection.ask(question, self._pass_on, data)

    def _lock(self, doing: str) -> None:
        if not self._locked:
            self._ask({"do": "lock", "doing": doing})
            self._locked = True

    def _prepared(self, request: Request) -> Event:
        """The run of ``request``: its bundle is there, and what can measure it."""
        bundle = Bundle.open(request.bundle)
        identity = self.push(request.bundle)
        run = {
            "request": {**asdict(request), "device": LOCAL},
            "bundle": identity,
            "video": self._push_video(request.settings.video),
            "doing": f"measuring {bundle.manifest.model}",
        }
        return {**run, **self._runner(bundle, request)}

    def _push_video(self, video: str | None) -> Event | None:
        """Send the file that a camera shows; None for a stream, which the board opens itself."""
        if video is None or not os.path.isfile(video):
            return None
        digest, suffix = sha256_of(video), os.path.splitext(video)[1]
        name = f"video{suffix if re.fullmatch('[.][A-Za-z0-9]{1,8}', suffix) else ''}"
        self._put("videos", digest, {name: digest}, lambda _: open(video, "rb"))  # noqa: SIM115
        return {"id": digest, "name": name}

    def _runner(self, bundle: Bundle, request: Request) -> Event:
        """What measures ``bundle`` there: edgevid's runner, else the bundle's own scripts with trtexec."""
        files = dict(package.package_digests())
        scenario = scenario_named(request.scenario)
        needed = package.NEEDED + (package.FOR_VIDEO if scenario.shares_cores else ())
        packages = [*needed, package.FOR_ENGINES]
        question = {"packages": packages, "given": os.environ.get(PYTHON), "files": files}
        answer = self._ask({"do": "python", **question})
        best, oldest = answer["best"], tuple(answer["oldest"])
        missing = [name for name in needed if best and name in best["missing"]]
        engines = has_scripts(bundle.manifest.files) and answer["trtexec"]
        runs_engines = best and package.FOR_ENGINES not in best["missing"]
        can_work = best and not missing and tuple(best["version"]) >= oldest
        if can_work and (runs_engines or not engines or scenario.name not in SERIES):
            identity = None
            if not answer["same"]:
                identity = package.package_identity()
                contents = package.package_files()
                self._put("packages", identity, files, lambda name: io.BytesIO(contents[name]))
            run = {"runner": "worker", "python": best["python"], "package": identity}
            return {**run, "checkout": checkout() if identity else {}}
        if engines:
            refuse_what_it_cannot(request, package.install())
            return {"runner": "trtexec"}
        raise BenchmarkError(f"{self.address} {_what_is_missing(best, missing, needed, oldest)}")

    def _put(
        self, kind: str, identity: str, files: Mapping[str, str], opened: Callable[[str], IO[bytes]]
    ) -> None:
        """Let the board have ``files``, digests by name; ``opened`` opens one here."""
        folder = {"kind": kind, "id": identity, "files": dict(files)}
        answer = self._ask({"do": "put", **folder})
        if not answer["names"]:
            return
        with tempfile.NamedTemporaryFile(prefix="edgevid-", suffix=".tar") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
                for name in answer["names"]:
                    with opened(name) as source:
                        archive.addfile(_member(name, source), source)
            file.flush()
            size = file.tell()
            if size > answer["free_bytes"]:
                raise BenchmarkError(
                    f"the disk of {self.address} is full: free {size >> 20} MiB there, for example with "
                    "rm -r ~/.cache/edgevid/board"
                )
            start = time.monotonic()

            def report() -> None:
                said = f"sending {len(answer['names'])} file(s), {size / (1 << 20):.1f} MiB"
                self._say(said, time.monotonic() - start)

            report()
            if self._link.upload is not None:
                self._link.upload(Path(file.name), answer["upload"], report)
                self._ask({"do": "tar", **folder, "upload": answer["upload"]})
            else:
                file.seek(0)
                self._ask({"do": "tar", **folder, "bytes": size}, Watched(file, report))

    def _result(self, request: Request, event: Event) -> dict[str, Any]:
        if event["event"] == "error":
            raise error_from(event)
        result = measured_by_trtexec(request, event) if event["event"] == "times" else event["result"]
        result["environment"]["address"] = self.address
        if request.settings.video and "camera" in result:
            result["camera"]["video"] = request.settings.video  # not the path of its copy there
        # The same each time that it is fetched: a store keeps it once.
        return {**result, "bundle": request.bundle, "measurement_id": event["id"]}

    def _pass_on(self, event: Event) -> None:
        if event["event"] == "waiting":
            minutes = f"{event['age_s'] / 60:.0f} min"
            self._say(f"waiting for {event['owner']} ({event['doing']}, {minutes})")
        else:
            self.tell({**event, "phase": _printable(event["phase"])})

    def _say(self, phase: str, elapsed_s: float = 0.0) -> None:
        """Another user of the board wrote a part of it: no color codes."""
        self.tell({"event": "progress", **asdict(Progress(_printable(phase), elapsed_s))})


class Watched:
    """A file that calls ``report`` now and then while it is read."""

    def __init__(self, file: IO[bytes], report: Callable[[], None]) -> None:
        self._file, self._report = file, report
        self._next = time.monotonic() + REPORT_S

    def read(self, size: int) -> bytes:
        if time.monotonic() > self._next:
            self._next = time.monotonic() + REPORT_S
            self._report()
        return self._file.read(size)


def _printable(text: str) -> str:
    return UNPRINTABLE.sub("?", " ".join(text.split()))


def has_scripts(names: Mapping[str, str]) -> bool:
    """Whether a bundle builds its engine on the board by itself."""
    return {"build.sh", "common.sh", "bundle.env", "check.py"} <= names.keys()


def owner() -> str:
    """Who waits or is waited for, as others see it."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


def _member(name: str, source: IO[bytes]) -> tarfile.TarInfo:
    """Only the name, the size and whether it can be run: nothing of this computer."""
    member = tarfile.TarInfo(name)
    member.size = source.seek(0, os.SEEK_END)
    source.seek(0)
    runs = isinstance(source, io.BufferedReader) and os.fstat(source.fileno()).st_mode & 0o100
    member.mode = 0o755 if runs else 0o644
    return member


def _what_is_missing(
    best: Event | None, missing: Sequence[str], needed: Sequence[str], oldest: tuple[int, ...]
) -> str:
    if best is None:
        return "has no Python that runs: install python3 there"
    version = ".".join(map(str, best["version"][:2]))
    if tuple(best["version"]) < oldest:
        return (
            f"has only Python {version}, and edgevid's runner needs {'.'.join(map(str, oldest))} or later: "
            f"install one there and set {PYTHON} to its path"
        )
    return (
        f"has Python {version} without {' and '.join(missing)}: run there '{package.install(needed)}' "
        f"(or set {PYTHON} to a Python that has them)"
    )
