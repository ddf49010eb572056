"""Answer one computer that wants bundles measured here; ``serve`` is what ``program`` calls on the board.

Each command is a line of JSON with ``do``, and has one answer. After ``hello`` (who asks) come ``lock`` (wait
for the others), ``put`` (which files of a folder are missing?) and ``tar`` (here they are), ``python`` (which
one has the packages?), ``run`` (measure, or with ``detach`` go on alone), ``finished`` and ``forget``.
``alive`` says that the computer is still there.
"""

import errno
import os
import sys
import uuid

from edgevid.benchmarks.devices.board import files, processes, pythons, trtexec, worker
from edgevid.benchmarks.devices.board.channel import Channel
from edgevid.benchmarks.devices.board.journal import Journal
from edgevid.benchmarks.devices.board.lock import Lock, Problem, lock_path


class Board:
    """The state of a connection with ``owner``.

    Each ``do_X`` answers the command X with one event, and may send others before.
    """

    def __init__(self, channel, owner):
        self.channel = channel
        self.owner = owner
        self.root = files.root_folder()
        self.journal = Journal(self.root)
        self.lock = Lock(lock_path(self.root))

    def do_lock(self, command):
        self.lock.acquire(
            self.owner, command["doing"], lambda holder: self.channel.send(dict(holder, event="waiting"))
        )
        return {"event": "locked"}

    def do_put(self, command):
        names = files.missing(self.root, command["kind"], command["id"], command["files"])
        free = files.free_bytes(self.root)
        upload = os.path.join(self.root, f"upload-{os.getpid()}.tar")
        return {"event": "missing", "names": names, "free_bytes": free, "upload": upload}

    def do_tar(self, command):
        folder = files.folder_of(self.root, command["kind"], command["id"])
        if "upload" in command:
            try:
                with open(command["upload"], "rb") as stream:
                    files.unpack(stream, folder, command["files"])
            finally:
                os.unlink(command["upload"])
        else:
            stream = self.channel.stream(command["bytes"])
            try:
                files.unpack(stream, folder, command["files"])
            finally:
                stream.drain()
        return {"event": "stored"}

    def do_python(self, command):
        """The Python for edgevid's runner, and whether it has the same edgevid as the computer that asks."""
        best = pythons.choose(command["packages"], command["given"])
        same = bool(best) and pythons.has_the_same_edgevid(best, command["files"])
        has_trtexec = trtexec.is_installed()
        return {
            "event": "python",
            "best": best,
            "same": same,
            "oldest": pythons.OLDEST,
            "trtexec": has_trtexec,
        }

    def do_run(self, command):
        """Measure; with ``detach`` go on alone, and leave the results in the journal."""
        if command["detach"]:
            sys.stdout.flush()
            if os.fork():
                self.channel.send({"event": "detached", "count": len(command["runs"])})
                os._exit(0)
            os.setsid()
            self.channel.hang_up()
            for run in command["runs"]:
                self._measure(run, lambda event: None)
            os._exit(0)
        (run,) = command["runs"]
        return self._measure(run, self.channel.send)

    def do_finished(self, command):
        return {"event": "finished", "entries": self.journal.entries(self.owner)}

    def do_forget(self, command):
        for identity in command["ids"]:
            self.journal.forget(identity)
        return {"event": "forgotten"}

    def _measure(self, run, emit):
        """Run one measurement and keep how it ended on the disk before anybody is told."""
        self.lock.describe(self.owner, run["doing"])
        folder = files.folder_of(self.root, "bundles", run["bundle"])
        request = dict(run["request"], bundle=folder)
        if run["video"]:
            video = files.folder_of(self.root, "videos", run["video"]["id"])
            path = files.path_of(video, run["video"]["name"])
            request["settings"] = dict(request["settings"], video=path)
        try:
            if run["runner"] == "trtexec":
                event = trtexec.measure(request, folder, self.lock.descriptor, emit)
            else:
                package = run["package"] and files.folder_of(self.root, "packages", run["package"])
                event = worker.measure(request, run["python"], package, self.lock.descriptor, emit)
                if event["event"] == "result":  # edgevid's files came from a checkout that is not here
                    event["result"]["environment"].setdefault("edgevid", {}).update(run["checkout"])
        except (Problem, OSError, ValueError, KeyError) as error:
            event = problem(error)
        event["id"] = str(uuid.uuid4())
        try:
            self.journal.write(event["id"], self.owner, run["request"], event)
        except OSError as error:  # a full disk must not take what was measured from who waits for it
            emit({"event": "progress", "phase": "the device cannot keep the result: " + str(error.strerror)})
        return event


def problem(error):
    """The event that says what went wrong."""
    if isinstance(error, Problem):
        message = str(error)
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        message = "its disk is full: free space there, for example with rm -r ~/.cache/edgevid/board/bundles"
    elif isinstance(error, OSError):
        message = "'{}' fails there: {}".format(error.filename or "a file", error.strerror or error)
    else:
        message = f"its runner failed with {type(error).__name__}: {error}"
    return {"event": "error", "kind": "BenchmarkError", "message": message}


def serve():
    channel = Channel(processes.leave)
    channel.start()
    board = None
    for command in channel.commands():
        try:
            if board is None:
                board = Board(channel, command["owner"])
                channel.send({"event": "hello", "finished": len(board.journal.entries(board.owner))})
            else:
                channel.send(getattr(board, "do_" + command["do"])(command))
        except Exception as error:
            channel.send(problem(error))
