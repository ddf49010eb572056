"""What a TensorRT bundle holds beside its model files: scripts, an example with its answer, a README."""

from __future__ import annotations

import json
import shlex
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from edgevid.backends.trt_versions import Requirement
from edgevid.specs import TOLERANCE

TEMPLATES = files("edgevid.backends") / "templates"
SCRIPTS = ("build.sh", "run.sh", "common.sh", "check.py")
ENVIRONMENT = "bundle.env"
PRECISIONS = ("fp16", "fp32")


def write_check_data(job, folder: Path) -> None:
    """``check/``: the inputs as trtexec loads them, and PyTorch's outputs."""
    check = folder / "check"
    check.mkdir()
    for name, array in job.example.items():
        np.ascontiguousarray(array, dtype="<f4").tofile(check / f"{name}.bin")
    expected = {
        "outputs": {name: array.ravel().tolist() for name, array in job.expected.items()},
        "tolerance": {precision: TOLERANCE[precision] for precision in PRECISIONS},
    }
    (check / "expected.json").write_text(json.dumps(expected))


def write_scripts(job, folder: Path, needed: Requirement, not_run: str) -> None:
    """The scripts, what they need to know of this network, and the README for the device."""
    device = job.target.device
    for name in SCRIPTS:
        (folder / name).write_text((TEMPLATES / name).read_text("utf-8"))
        (folder / name).chmod(0o755)
    variables = {
        "MODEL": job.model,
        "PRECISION": job.precision,
        "INPUTS": ",".join(f"{name}:check/{name}.bin" for name in job.example),
        "INSTALL": device["install"],
        "NEEDS": str(needed.version),
        "NEEDS_REASON": needed.reason,
        "COMPUTE_CAPABILITY": device["compute_capability"],
    }
    lines = "".join(f"{key}={shlex.quote(value)}\n" for key, value in variables.items())
    (folder / ENVIRONMENT).write_text(lines)
    readme = Template((TEMPLATES / "README.tensorrt.md").read_text("utf-8")).substitute(
        model=job.model,
        target=job.target.name,
        title=job.target.title,
        tensorrt=device["tensorrt"],
        install=device["install"],
        needs=f"{needed.version} or later, {needed.reason}",
        precision=job.precision,
        folder=f"{job.model}.{job.target.name}.tensorrt",
        power_mode=_power_mode(device.get("power_mode")),
        tolerance_fp16=f"{TOLERANCE['fp16']:g}",
        tolerance_fp32=f"{TOLERANCE['fp32']:g}",
        inputs="; ".join(job.describe_inputs()),
        states=job.describe_states(),
        not_run=not_run,
    )
    (folder / "README.md").write_text(readme)


def read_environment(folder: Path) -> dict[str, str]:
    """What ``bundle.env`` says, by name; empty where there is none."""
    path = folder / ENVIRONMENT
    if not path.is_file():
        return {}
    pairs = (item.partition("=") for item in shlex.split(path.read_text("utf-8")))
    return {name: value for name, _, value in pairs}


def _power_mode(command: str | None) -> str:
    return f"\nFor steady figures pin the clocks first: `{command}`.\n" if command else ""
