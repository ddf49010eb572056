"""A measurement of a bundle for Jetson by the board's own trtexec: no package for Python is needed.

The engine is built by the bundle's ``build.sh``, which keeps one that agrees with PyTorch, and is checked
again by its ``check.py``. The times are those that trtexec exports.
"""

import json
import math
import os
import shutil
import subprocess
import sys

from edgevid.benchmarks.devices.board import processes
from edgevid.benchmarks.devices.board.environment import observe
from edgevid.benchmarks.devices.board.files import digest_of
from edgevid.benchmarks.devices.board.lock import Problem

WARM_UP_MS = 2000
BUILD_LIMIT_S = 7200
# The names of a bundle's files reach the shell as arguments, never as text of a script.
RUN = """
cd "$1"
. ./bundle.env
. ./common.sh
choose_precision ""
find_trtexec
echo "$version"
[ -f "$engine" ] || { [ "$4" = look ] && exit 3; fail "build.sh left no $engine"; }
[ "$4" = run ] || exit 0
options=()
[ ! -f "$engine.plugins" ] || options+=("$(plugin_option)")
if supports --exposeDMA && [ "$5" = one ]; then options+=(--exposeDMA); fi
rm -f outputs.json times.json
"$trtexec" "${options[@]}" --loadEngine="$engine" --loadInputs="$INPUTS" --exportOutput=outputs.json \\
    --exportTimes=times.json --warmUp="$2" --duration="$3" --useSpinWait >run.log 2>&1 || {
    tail -n 1 run.log >&2; exit 4; }
exec "$6" check.py "$precision"
"""


def is_installed():
    """Whether this board has a trtexec, where a bundle's ``common.sh`` looks for it."""
    paths = (os.environ.get("TRTEXEC", ""), shutil.which("trtexec") or "", "/usr/src/tensorrt/bin/trtexec")
    return any(os.access(path, os.X_OK) for path in paths if path)


def measure(request, folder, lock, emit):
    """Build the engine if there is none, run it, check it; returns the event with trtexec's times."""
    environment = observe()
    emit({"event": "progress", "phase": "looking for trtexec"})
    status, output, errors = _script(folder, request, "look", lock)
    if status == 3:
        phase = {"event": "progress", "phase": "building the engine with the bundle's build.sh"}
        with processes.reminding(emit, phase, BUILD_LIMIT_S):
            status, output, errors = _call(["bash", "./build.sh"], folder, lock)
        if status:
            return _error("build.sh failed on the device: " + (_last(errors) or _last(output)))
        status, output, errors = _script(folder, request, "look", lock)
    if status:
        return _error(_last(errors) or "trtexec cannot be asked for its version on the device")
    version = output.split()[0]
    phase = {"event": "progress", "phase": "measuring with trtexec", "total_s": request["duration_s"]}
    with processes.reminding(emit, phase, 2 * request["duration_s"] + 300):
        status, output, errors = _script(folder, request, "run", lock)
    if status:
        return _error("the engine is not measured: " + (_last(output) or _last(errors)))
    times = samples(_read_json(os.path.join(folder, "times.json")), WARM_UP_MS)
    manifest = os.path.join(folder, "manifest.json")
    return {
        "event": "times",
        "request": request,
        "times": times,
        "manifest": _read_json(manifest),
        "bundle_sha256": digest_of(manifest),
        "environment": environment,
        "tensorrt": version,
        "warm_up_s": WARM_UP_MS / 1000,
        "check": _last(output),
    }


def samples(trace, warm_up_ms):
    """From trtexec's JSON: the latency of each inference, and the time from one end to the next, in ms.

    A latency is the copy to the GPU, the computation and the copy back. TensorRT 8.0 to 8.4 also export what
    ran during the warm-up, which is left out here.
    """
    rows = [row for row in trace if row["startComputeMs"] >= warm_up_ms]
    if not rows:
        raise Problem("trtexec timed no inference: raise --duration")
    ends = [row["endD2hMs"] for row in rows]
    return {
        "latency_ms": [row["latencyMs"] for row in rows],
        "interval_ms": [after - before for before, after in zip(ends, ends[1:])],
        "elapsed_s": (ends[-1] - rows[0]["startH2dMs"]) / 1000,
    }


def _script(folder, request, what, lock):
    seconds = str(max(1, math.ceil(request["duration_s"])))
    one = "one" if request["scenario"] == "single-stream" else "many"
    arguments = [folder, str(WARM_UP_MS), seconds, what, one, sys.executable]
    return _call(["bash", "-euo", "pipefail", "-c", RUN, "run", *arguments], folder, lock)


def _call(command, folder, lock):
    """Exit status, standard output and standard error."""
    process = processes.start(
        command,
        lock,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
    )
    try:
        output, errors = process.communicate()
    finally:
        processes.end(process)
    return process.returncode, output.decode(errors="replace"), errors.decode(errors="replace")


def _read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def _last(text):
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""


def _error(message):
    return {"event": "error", "kind": "BenchmarkError", "message": message}
