"""Lines of JSON from and to the computer that asks, and the leash: if it is gone, this program leaves too."""

import contextlib
import json
import os
import queue
import select
import threading

SILENCE_S = 40.0
"""The computer says that it is there every few seconds; after this long without a word it is lost."""
CHUNK = 1 << 16


class Channel:
    """``commands()`` yields what the computer asks, ``send`` answers; ``on_loss()`` is called at its loss.

    A command ``tar`` is followed by as many bytes as it says, which ``stream(count)`` reads as a file.
    """

    def __init__(self, on_loss, source=0, sink=1, silence_s=SILENCE_S):
        self._source, self._sink = source, os.dup(sink)
        self._on_loss, self._silence_s = on_loss, silence_s
        self._lock = threading.Lock()
        self._commands: queue.Queue[dict] = queue.Queue()
        self._chunks: queue.Queue[bytes] = queue.Queue(maxsize=64)
        # What a library prints must not get between the lines.
        os.dup2(2, sink)

    def start(self):
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, event):
        line = (json.dumps(event) + "\n").encode()
        with self._lock:
            while line:
                line = line[os.write(self._sink, line) :]

    def commands(self):
        while True:
            yield self._commands.get()

    def stream(self, count):
        return Stream(self._chunks, count)

    def hang_up(self):
        """Close both ends, for a process that goes on alone."""
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2, self._sink):
            os.dup2(null, descriptor)

    def _read(self):
        with contextlib.suppress(OSError, ValueError):
            self._listen()
        self._on_loss()

    def _listen(self):
        pending, raw = b"", 0
        while select.select([self._source], [], [], self._silence_s)[0]:
            chunk = os.read(self._source, CHUNK)
            if not chunk:
                return
            pending += chunk
            while pending:
                if raw:
                    part, pending = pending[:raw], pending[raw:]
                    raw -= len(part)
                    self._chunks.put(part)
                    continue
                line, newline, rest = pending.partition(b"\n")
                if not newline:
                    break
                pending = rest
                command = json.loads(line.decode())
                if command["do"] == "alive":
                    self.send({"event": "alive"})
                    continue
                raw = command.get("bytes", 0)
                self._commands.put(command)


class Stream:
    """``count`` bytes of what the computer sends, as a file for reading."""

    def __init__(self, chunks, count):
        self._chunks, self._left, self._pending = chunks, count, b""

    def read(self, size):
        if not self._pending and self._left:
            self._pending = self._chunks.get()
            self._left -= len(self._pending)
        part, self._pending = self._pending[:size], self._pending[size:]
        return part

    def drain(self):
        while self.read(CHUNK):
            pass
