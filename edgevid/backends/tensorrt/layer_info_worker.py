"""Build an engine with TensorRT-RTX and print its fused plan as JSON.

    python -m edgevid.backends.tensorrt.layer_info_worker FILE.onnx SM86

A program of its own, since TensorRT-RTX may end the process where a file is not to its liking. What it builds
cannot run here; its verbose log says which kernels the graph became, with their tensors.
"""

from __future__ import annotations

import json
import math
import re
import sys
import time
from pathlib import Path

HEADING = "Layers:"
LAYER = re.compile(r"^Name: (?P<name>[^,]*), LayerType: (?P<kind>\w+), (?P<tensors>.*)$", re.MULTILINE)
TENSOR = re.compile(r"\{ Name: ([^,]*), Dimensions: \[([\d,]*)\].*?Datatype: (\w+)")
BYTES = {"Half": 2, "BFloat16": 2, "Int8": 1, "UInt8": 1, "FP8": 1, "Bool": 1, "Int64": 8}
"""Of an element, where it is not 4."""


def main(path: str, architecture: str) -> None:
    import tensorrt_rtx as trt

    from edgevid.backends.tensorrt.runtime.build import build, logger_of
    from edgevid.errors import BackendError

    answer: dict = {"version": trt.__version__}
    capability = trt.ComputeCapability.__members__.get(architecture)
    if capability is None:
        answer["error"] = f"TensorRT-RTX {trt.__version__} knows no {architecture}"
    else:
        logger, start = logger_of(trt), time.perf_counter()
        try:
            build(trt, Path(path), logger, compute_capability=capability)
            answer["layers"] = layers_of([message for _, message in logger.messages])
        except BackendError as error:
            answer["error"] = str(error)
        answer["seconds"] = time.perf_counter() - start
    print(json.dumps(answer))


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
