"""Build an engine with TensorRT-RTX and print its layer info as JSON.

    python -m edgevid.backends.tensorrt.layer_info_worker FILE.onnx 8.7

A separate process, since TensorRT-RTX may abort on files that it rejects. The engine cannot run here; the
verbose log has its kernels and their tensors. It is built for the supported compute capability nearest to the
argument.
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
"""Bytes per element, where it is not 4."""


def main(path: str, compute_capability: str) -> None:
    import tensorrt_rtx as trt

    from edgevid.backends.tensorrt.runtime.build import build, logger_of
    from edgevid.errors import BackendError

    sm = nearest(compute_capability, trt.ComputeCapability.__members__)
    capability = trt.ComputeCapability.__members__[f"SM{sm}"]
    result: dict = {"version": trt.__version__, "compute_capability": str(sm / 10)}
    logger, start = logger_of(trt), time.perf_counter()
    try:
        build(trt, Path(path), logger, compute_capability=capability)
        result["layers"] = layers_of([message for _, message in logger.messages])
    except BackendError as error:
        result["error"] = str(error)
    result["seconds"] = time.perf_counter() - start
    print(json.dumps(result))


def nearest(compute_capability: str, members: Iterable[str]) -> int:
    """The SM among ``members``, such as "SM86", whose number is nearest; of two, the older."""
    sms = sorted(int(name[2:]) for name in members if re.fullmatch(r"SM\d+", name))
    return min(sms, key=lambda sm: abs(sm - int(compute_capability.replace(".", ""))))


def layers_of(messages: list[str]) -> list[dict]:
    """Name, kind and activation bytes of each layer in the last layer listing of a verbose log."""
    listings = [message for message in messages if message.lstrip().startswith(HEADING)]
    if not listings:
        return []
    return [
        {"name": match["name"], "kind": match["kind"], "bytes": _activation_bytes(match["tensors"])}
        for match in LAYER.finditer(listings[-1])
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
