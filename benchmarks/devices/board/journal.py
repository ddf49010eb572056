"""Finished measurements on the board's disk, until the computer that asked for them has them."""

import contextlib
import json
import os
import re
import time


class Journal:
    """A folder with a file for each measurement: who asked, what was asked, and the events that ended it."""

    def __init__(self, root):
        self.folder = os.path.join(root, "finished")
        os.makedirs(self.folder, exist_ok=True)

    def write(self, identity, owner, request, event):
        """Keep ``event``, on the disk when this returns."""
        entry = {"id": identity, "owner": owner, "request": request, "event": event, "time_s": time.time()}
        path = self._path(identity)
        with open(path + ".part", "w") as file:
            json.dump(entry, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(path + ".part", path)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def entries(self, owner):
        """What ``owner`` has not fetched, the oldest first."""
        entries = []
        for name in os.listdir(self.folder):
            if not name.endswith(".json"):
                continue
            with contextlib.suppress(OSError, ValueError):
                with open(os.path.join(self.folder, name)) as file:
                    entry = json.load(file)
                if entry["owner"] == owner:
                    entries.append(entry)
        return sorted(entries, key=lambda entry: (entry["time_s"], entry["id"]))

    def forget(self, identity):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(identity))

    def _path(self, identity):
        if not re.match("[0-9a-z-]{1,64}$", identity):
            raise ValueError(f"{identity!r} is not the name of a measurement")
        return os.path.join(self.folder, identity + ".json")
