"""The files of a TensorRT bundle other than models: scripts, an example with its output, a README."""

from __future__ import annotations

import json
import shlex
from importlib.resources import files
from pathlib import Path

import numpy as np

from edgevid.backends.readme import write_readme
from edgevid.backends.tensorrt.int8 import is_typed
from edgevid.backends.tensorrt.versions import Requirement
from edgevid.specs import TOLERANCE

TEMPLATES = files("edgevid.backends.tensorrt") / "templates"
SCRIPTS = ("build.sh", "run.sh", "common.sh", "check.py")
ENVIRONMENT = "bundle.env"
INT8_README = """\
- In int8 `build.sh` builds `model_int8.onnx` and, where TensorRT takes a calibration cache, a second engine
  from the float model with `calibration.cache`; it prints both medians and keeps the fastest engine that
  agrees with PyTorch. `EDGEVID_CALIBRATION=0 ./build.sh` skips the second. A network is not always faster in
  int8: compare with `./build.sh fp16 && ./run.sh fp16`.
"""
INT8_FILES = (
    "| `model_int8.onnx` | the network with QuantizeLinear and DequantizeLinear nodes; "
    "the temporal shift moves int8 |\n"
    "| `calibration.cache` | the ranges for TensorRT's own quantization of `model_fp32.onnx`; absent where "
    "the device takes none |\n"
)


def precisions_of(job) -> tuple[str, ...]:
    """The arguments of a bundle's scripts: fp16 and fp32, and int8 if it was calibrated."""
    return ("int8", "fp16", "fp32") if job.precision == "int8" else ("fp16", "fp32")


def write_check_data(job, folder: Path) -> None:
    """Write ``check/``: the inputs as trtexec loads them, and PyTorch's outputs."""
    check = folder / "check"
    check.mkdir()
    for name, array in job.example.items():
        np.ascontiguousarray(array, dtype="<f4").tofile(check / f"{name}.bin")
    expected = {
        "outputs": {name: array.ravel().tolist() for name, array in job.expected.items()},
        "shapes": {name: list(array.shape) for name, array in job.expected.items()},
        "tolerance": {precision: TOLERANCE[precision] for precision in precisions_of(job)},
    }
    (check / "expected.json").write_text(json.dumps(expected))


def write_scripts(job, folder: Path, requirement: Requirement, not_run: str) -> None:
    """Write the scripts, their settings for this network, and the README for the device."""
    device = job.target.device
    for name in SCRIPTS:
        (folder / name).write_text((TEMPLATES / name).read_text("utf-8"))
        (folder / name).chmod(0o755)
    variables = {
        "MODEL": job.model,
        "PRECISION": job.precision,
        "PRECISIONS": " ".join(precisions_of(job)),
        "INT8_TYPED": str(int(is_typed(device.tensorrt))),
        "INPUTS": ",".join(f"{name}:check/{name}.bin" for name in job.example),
        "INSTALL": device.install,
        "NEEDS": str(requirement.version),
        "NEEDS_REASON": requirement.reason,
        "COMPUTE_CAPABILITY": str(job.target.gpu),
    }
    lines = "".join(f"{key}={shlex.quote(value)}\n" for key, value in variables.items())
    (folder / ENVIRONMENT).write_text(lines)
    write_readme(
        folder,
        job,
        "tensorrt",
        TEMPLATES / "README.tensorrt.md",
        tensorrt=device.tensorrt,
        needs=f"{requirement.version} or later, {requirement.reason}",
        precision=job.precision,
        precisions=" or ".join(f"`{name}`" for name in precisions_of(job)),
        tolerances=", ".join(f"{TOLERANCE[name]:g} in {name}" for name in precisions_of(job)),
        int8=INT8_README if job.precision == "int8" else "",
        int8_files=INT8_FILES if job.precision == "int8" else "",
        power_mode=_power_mode(device.power_mode),
        not_run=not_run,
    )


def read_environment(folder: Path) -> dict[str, str]:
    """The variables in ``bundle.env``; empty if there is no such file."""
    path = folder / ENVIRONMENT
    if not path.is_file():
        return {}
    pairs = (item.partition("=") for item in shlex.split(path.read_text("utf-8")))
    return {name: value for name, _, value in pairs}


def _power_mode(command: str) -> str:
    return f"\nFor stable measurements pin the clocks first: `{command}`.\n" if command else ""
