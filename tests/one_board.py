"""A bundle as on a board, with a fake trtexec (simulated) that records its arguments."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from edgevid import parity

# For each version, the number in its banner, and the options in its help that the scripts look for.
VERSIONS = {
    "8.2": ("8201", "--onnx --fp16 --int8 --calib=<file> --workspace=N --buildOnly"),
    "8.5": ("8502", "--onnx --fp16 --int8 --calib=<file> --memPoolSize=poolspec --buildOnly"),
    "10.3": (
        "100300",
        "--onnx --fp16 --int8 --calib=<file> --memPoolSize=poolspec --skipInference --stronglyTyped "
        "--staticPlugins",
    ),
    "10.13": (
        "101302",
        "--onnx --fp16 --int8 --calib=<file> --memPoolSize=poolspec --skipInference --stronglyTyped "
        "--staticPlugins",
    ),
    "11.0": ("110000", "--onnx --memPoolSize=poolspec --skipInference --staticPlugins"),
}

TRTEXEC = """#!/usr/bin/env bash
echo "&&&& RUNNING TensorRT.trtexec [TensorRT v{banner}] # trtexec $*"
built="$*"
for argument in "$@"; do
    case $argument in
        --help) echo "{options}"; exit 0 ;;
        --saveEngine=*) engine=${{argument#--saveEngine=}} ;;
        --loadEngine=*) built=$(cat "${{argument#--loadEngine=}}") ;;
        --exportOutput=*) outputs=${{argument#--exportOutput=}} ;;
    esac
done
case $built in
    *--calib=*) kind=calibrated; median={calibrated} ;;
    *.fused.onnx*) kind=fused; median={fused} ;;
    *lugins=*) kind=plugins; median={with_plugins} ;;
    *) kind=plain; median=3.5 ;;
esac
printf '%s\\n' "$@" > arguments.txt
printf '%s\\n' "$@" > "arguments.$kind.txt"
[ "$kind" != "{fails}" ] || exit 1
# An engine contains the arguments of its build, so that running it shows what it would compute.
if [ -n "${{engine:-}}" ]; then echo "$*" > "$engine"; fi
if [ -n "${{outputs:-}}" ]; then
    simulated="simulated.$kind.json"
    [ -f "$simulated" ] || simulated=simulated.json
    cp "$simulated" "$outputs"
fi
echo "[I] GPU Compute Time: min = 1 ms, max = 9 ms, mean = 4 ms, median = $median ms, percentile(99%) = 8 ms"
echo "[I] Throughput: 100 qps"
exit {status}
"""

NVCC = """#!/usr/bin/env bash
echo "nvcc $*" >> nvcc.txt
while [ $# -gt 0 ]; do [ "$1" = -o ] && touch "$2"; shift; done
exit {status}
"""


def install_trtexec(
    board: Path,
    version: str = "10.3",
    status: int = 0,
    with_plugins: str = "3.4",
    calibrated: str = "3.6",
    fused: str = "3.6",
    fails: str = "nothing",
) -> None:
    """``fails`` is the kind of engine (plain, plugins, fused, calibrated) that cannot be built or run."""
    banner, options = VERSIONS[version]
    text = TRTEXEC.format(
        banner=banner,
        options=options.replace(" ", "\n"),
        status=status,
        with_plugins=with_plugins,
        calibrated=calibrated,
        fused=fused,
        fails=fails,
    )
    install(board / "trtexec", text)


def install_nvcc(board: Path, status: int = 0) -> None:
    install(board / "nvcc", NVCC.format(status=status))


def install(tool: Path, text: str) -> None:
    tool.write_text(text)
    tool.chmod(0o755)


def script(
    board: Path, *arguments: str, trtexec: bool = True, plugins: bool = False, calibration: bool = True
) -> subprocess.CompletedProcess:
    environment = {
        **os.environ,
        "EDGEVID_PLUGINS": str(int(plugins)),
        "EDGEVID_CALIBRATION": str(int(calibration)),
        "NVCC": str(board / "nvcc"),
    }
    if trtexec:
        environment["TRTEXEC"] = str(board / "trtexec")
    return subprocess.run(arguments, cwd=board, env=environment, capture_output=True, text=True, timeout=30)


def recorded(board: Path, kind: str = "") -> list[str]:
    """The arguments of the last call of trtexec, or of the last call with an engine of ``kind``."""
    return (board / (f"arguments.{kind}.txt" if kind else "arguments.txt")).read_text().split()


def write_outputs(board: Path, factor: float = 1.0, kind: str = "") -> None:
    """Let engines (of ``kind``) compute PyTorch's outputs times ``factor``."""
    _, expected = parity.load(board)
    values = (expected["logits"][0] * factor).astype(float).tolist()
    outputs = [{"name": "logits", "dimensions": f"1x{len(values)}", "values": values}]
    (board / (f"simulated.{kind}.json" if kind else "simulated.json")).write_text(json.dumps(outputs))
