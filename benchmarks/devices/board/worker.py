"""A measurement by edgevid's own worker, with a Python of the board that has its packages."""

import contextlib
import json
import os
import subprocess
import tempfile

from edgevid.benchmarks.devices.board import processes

MODULE = "edgevid.benchmarks.harness.worker"
OPENING, OPENING_LIMIT_S = "opening", 3600
"""The phase in which a small board compiles the kernels, which takes it minutes, once."""


def measure(request, python, package, lock, emit):
    """Run the worker on ``request``; ``emit`` gets its progress. Returns the event that ends it.

    ``package`` is the folder that holds edgevid; None where ``python`` has it.
    """
    environment = dict(os.environ, PYTHONSAFEPATH="1", PYTHONUNBUFFERED="1")
    if package:
        others = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = package + (os.pathsep + others if others else "")
    with tempfile.TemporaryFile() as errors:
        process = processes.start(
            [python, "-m", MODULE],
            lock,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            cwd="/",
        )
        try:
            try:
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.close()
            except OSError:
                pass  # it died at once, which its status says
            with contextlib.ExitStack() as reminders:
                for line in process.stdout:
                    reminders.close()
                    try:
                        event = json.loads(line.decode())
                    except ValueError:  # cut short by its death
                        continue
                    if event["event"] in ("result", "error"):
                        return event
                    if event["phase"] == OPENING:
                        reminders.enter_context(processes.reminding(emit, event, OPENING_LIMIT_S))
                    else:
                        emit(event)
            return {"event": "error", "kind": "BenchmarkError", "message": _reason(process.wait(), errors)}
        finally:
            processes.end(process)


def _reason(status, errors):
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines()
    last = f" Its last line on stderr: {lines[-1].strip()[:300]}." if lines else ""
    if status == -9:
        return (
            "the measuring process was killed on the device (SIGKILL), most often because memory ran out: "
            "close programs there or measure a smaller model." + last
        )
    how = f"crashed (signal {-status})" if status < 0 else f"ended (exit status {status})"
    return f"the measuring process {how} on the device without a result.{last}"
