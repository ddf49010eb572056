"""Build an engine with TensorRT-RTX and print its fused plan as JSON.

    python -m edgevid.backends.tensorrt.layer_info_worker FILE.onnx 8.7

A program of its own, since TensorRT-RTX may end the process where a file is not to its liking. What it builds
cannot run here; its verbose log says which kernels the graph became, with their tensors. It builds for
the compute capability nearest to the one that is given.
"""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path

HEADING = "Layers:"
LAYER = re.compile(r"^Name: (?P<name>[^,]*), LayerType: (?P<kind>\w+), (?P<tensors>.*)$", re.MULTILINE)
TENSOR = re.compile(r"\{ Name: ([^,]*), Dimensions: \[([\d,]*)\].*?Datatype: (\w+)")
BYTES = {"Half": 2, "BFloat16": 2, "Int8": 1, "UInt8": 1, "FP8": 1, "Bool": 1, "Int64": 8}
"""Of an element, where it is not 4."""


def main(path: str, compute_capability: str) -> None:
    import tensorrt_rtx as trt

    from edgevid.backends.tensorrt.runtime.build import build, logger_of
    from edgevid.errors import BackendError

    sm = nearest(compute_capability, trt.ComputeCapability.__members__)
    capability = trt.ComputeCapability.__members__[f"SM{sm}"]
    answer: dict = {"version": trt.__version__, "compute_capability": str(sm / 10)}
    logger, start = logger_of(trt), time.perf_counter()
    try:
        build(trt, Path(path), logger, compute_capability=capability)
        answer["layers"] = layers_of([message for _, message in logger.messages])
    except BackendError as error:
        answer["error"] = str(error)
    answer["seconds"] = time.perf_counter() - start
    print(json.dumps(answer))


def nearest(compute_capability: str, members: Iterable[str]) -> int:
    """The SM, of those that ``members`` such as "SM86" name, whose number is nearest; the older of two."""
    known = sorted(int(name[2:]) for name in members if re.fullmatch(r"SM\d+", name))
    return min(known, key=lambda sm: abs(sm - int(compute_capability.replace(".", ""))))


def layers_of(messages: list[str]) -> list[dict]:
    """Name, kind and activation bytes of each layer of the plan that a verbose log ends with."""
    plans = [message for message in messages if message.lstrip().startswith(HEADING)]
    if not plans:
        return []
    return [
        {"name": found["name"], "kind": found["kind"], "bytes": _activation_bytes(found["tensors"])}
        for found in LAYER.finditer(plans[-1])
    ]


def _activation_bytes(tensors: str) -> int:
    inputs, _, rest = tensors.partition("Constants: [")
    outputs = rest.partition("Outputs: [")[2]
    return sum(
        math.prod(int(length) for length in dims.split(",") if length) * BYTES.get(kind, 4)
        for _, dims, kind in TENSOR.findall(inputs + outputs)
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
