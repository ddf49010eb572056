"""TensorRT: plugin-free ONNX in fp16 and fp32, and scripts that build and check the engine on the device.

No engine is built here; the ONNX files are checked in ONNX Runtime by whoever makes the bundle.
"""

from __future__ import annotations

import json
import shlex
import shutil
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from edgevid.errors import ExportError
from edgevid.specs import TOLERANCE, Artefact, Availability

TEMPLATES = files("edgevid.backends") / "templates"
SCRIPTS = ("build.sh", "run.sh", "common.sh", "check.py")
CHECKED_WITH = "onnxruntime"
LOWERED = {
    "lower_temporal_shift": "TemporalShift (4-D slice and concat)",
    "lower_temporal_conv": "TemporalConv (4-D multiply and add)",
    "lower_temporal_difference": "TemporalDifference (4-D slice and subtract)",
    "lower_running_mean": "RunningMean (matrix product)",
    "lower_channel_conv": "ChannelConv (Conv along the channels)",
    "lower_frame_stack": "FrameStack (gather along time)",
}
"""What the temporal ops of a graph become, by the pass that lowers them."""


def available() -> Availability:
    """Whether an engine can be built here; bundles can be made everywhere."""
    trtexec = shutil.which("trtexec") or shutil.which("trtexec", path="/usr/src/tensorrt/bin")
    if trtexec:
        return Availability(True, f"{trtexec} builds engines; bundles can be made")
    return Availability(
        False,
        "bundles can be made here, engines are built on the device",
        "trtexec is not on this machine",
        "copy the bundle to the device and run its build.sh there",
    )


def compile(graph, job, folder: Path):
    """``model_fp32.onnx`` and ``model_fp16.onnx`` without plugins, scripts, and a README for the board."""
    import onnx_ir as ir

    from edgevid.backends import Compiled
    from edgevid.passes import LOWERING, run_passes
    from edgevid.passes.to_fp16 import to_fp16
    from edgevid.passes.to_opset_13 import to_opset_13

    reports = run_passes(graph, (*LOWERING, to_opset_13))
    kernels = tuple(
        f"{LOWERED[report.name]} x{report.matched}"
        for report in reports
        if report.name in LOWERED and report.matched
    )
    ir.save(graph, folder / "model_fp32.onnx")
    precisions, not_run = ["fp32"], [_not_built(job)]
    try:
        reports += run_passes(graph, (to_fp16,))
        ir.save(graph, folder / "model_fp16.onnx")
        precisions.append("fp16")
    except ExportError as error:
        if job.precision == "fp16":
            raise
        not_run.append(f"model_fp16.onnx, left out: {error}")
    artefacts = tuple(
        Artefact(
            f"model_{precision}.onnx", precision, f"TensorRT 8 and 10, {precision}", opened_by=CHECKED_WITH
        )
        for precision in precisions
    )
    _write_check_data(job, folder)
    _write_scripts(job, folder, not_run[0])
    return Compiled(f"model_{job.precision}.onnx", artefacts, kernels, reports, tuple(not_run))


def _not_built(job) -> str:
    return (
        f"the engine build and run on {job.target.title} with TensorRT {job.target.device['tensorrt']} "
        "(build.sh and run.sh do both on the device)"
    )


def _write_check_data(job, folder: Path) -> None:
    check = folder / "check"
    check.mkdir()
    for name, array in job.example.items():
        np.ascontiguousarray(array, dtype="<f4").tofile(check / f"{name}.bin")
    expected = {
        "outputs": {name: array.ravel().tolist() for name, array in job.expected.items()},
        "tolerance": {precision: TOLERANCE[precision] for precision in ("fp16", "fp32")},
    }
    (check / "expected.json").write_text(json.dumps(expected))


def _write_scripts(job, folder: Path, not_run: str) -> None:
    device = job.target.device
    for name in SCRIPTS:
        (folder / name).write_text((TEMPLATES / name).read_text("utf-8"))
        (folder / name).chmod(0o755)
    inputs = ",".join(f"{name}:check/{name}.bin" for name in job.example)
    variables = {
        "MODEL": job.model,
        "PRECISION": job.precision,
        "INPUTS": inputs,
        "INSTALL": device["install"],
    }
    lines = "".join(f"{key}={shlex.quote(value)}\n" for key, value in variables.items())
    (folder / "bundle.env").write_text(lines)
    readme = Template((TEMPLATES / "README.tensorrt.md").read_text("utf-8")).substitute(
        model=job.model,
        target=job.target.name,
        title=job.target.title,
        tensorrt=device["tensorrt"],
        install=device["install"],
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


def _power_mode(command: str | None) -> str:
    return f"\nFor steady figures pin the clocks first: `{command}`.\n" if command else ""
