"""A second model file for clips of any number, or of any length, where the network allows it.

Our kernels, and what is optimised for them, take fixed shapes. This file holds the same network in standard
operators with free dimensions; other sizes than the traced one are compared with the eager network, so that a
batch or a number of frames that was baked in is found out when it is exported, not on the device.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.inliner
import onnx_ir as ir
import torch

from edgevid import parity
from edgevid.backends import BACKENDS
from edgevid.errors import ExportError
from edgevid.example import Example, evaluating
from edgevid.passes.fold_batch_norm import fold_batch_norm
from edgevid.passes.fold_constants import fold_constants
from edgevid.request import SEED, Request
from edgevid.specs import TOLERANCE, Artefact
from edgevid.trace import trace

MODEL, WEIGHTS = "model.dynamic.onnx", "model.dynamic.weights"
RUNNER = "onnxruntime"
AXES = {"batch": 0, "frames": 1}
TRACED, MORE = 2, 3
"""Torch takes a dimension of 1 for fixed, so clips are traced by twos, and tried by ones and threes."""


def write_dynamic(network: torch.nn.Module, request: Request, example: Example, folder: Path) -> Artefact:
    """Write and check the file; ``ExportError`` names what was baked in."""
    name, outputs = request.spec.name, tuple(example.outputs)
    free = {AXES[kind]: torch.export.Dim(kind) for kind in request.dynamic}
    with evaluating(network):
        try:
            graph = trace(network, _input(request, TRACED, 0), request.spec.input, outputs, free)
        except ExportError as error:
            raise ExportError(f"{_baked_in(request)} ({error})") from error
        fold_constants(graph)
        fold_batch_norm(graph)
        inlined = onnx.inliner.inline_local_functions(ir.to_proto(graph))
        ir.save(ir.from_proto(inlined), folder / MODEL, external_data=WEIGHTS, size_threshold_bytes=256)
        session = BACKENDS[RUNNER].open_model(folder / MODEL, None, with_kernels=False)
        longer = 1 if "frames" in request.dynamic else 0
        for batch in (1, MORE) if "batch" in request.dynamic else (1,):
            given = _input(request, batch, longer)
            with torch.no_grad():
                answer = network(given.clone())  # which it may change in place
            wanted = dict(zip(outputs, answer.values() if isinstance(answer, dict) else [answer]))
            arrays = {output: tensor.float().numpy() for output, tensor in wanted.items()}
            got = session.run({request.spec.input: given.numpy()})
            distance = parity.compare(got, arrays, TOLERANCE["fp32"])
            if not distance.ok:
                raise ExportError(
                    f"{_baked_in(request)} (for an input {tuple(given.shape)} the file gives something "
                    f"else than {name}, max|a-b| / max|b| = {distance.max_rel:.1e})"
                )
    free_names = " and ".join("clips" if kind == "batch" else "frames" for kind in request.dynamic)
    return Artefact(
        MODEL, "fp32", f"any runtime that reads ONNX: any number of {free_names}", opened_by=RUNNER
    )


def _input(request: Request, batch: int, longer: int) -> torch.Tensor:
    shape = request.spec.input_shape(request.frames + longer, request.size)
    clips = np.random.default_rng(SEED + batch).standard_normal((batch, *shape[1:]), dtype=np.float32)
    return torch.from_numpy(clips)


def _baked_in(request: Request) -> str:
    options = " and ".join(f"--dynamic-{kind}" for kind in request.dynamic)
    return (
        f"{request.spec.name} does not allow {options}: its code or its temporal ops hold a fixed number, so "
        "leave that out"
    )
