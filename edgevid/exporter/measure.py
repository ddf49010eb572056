"""Count a network's parameters, MACs and temporal ops on torch's meta device, without computing anything.

python -m edgevid.exporter.measure tsm_mbv2    # prints the facts of its ModelSpec
"""

from __future__ import annotations

import functools
import sys
from collections import Counter
from collections.abc import Sequence

import onnx_ir as ir
import torch
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from edgevid import ops
from edgevid.exporter.free_shapes import LayerWatch
from edgevid.specs import Facts
from edgevid.zoo import MODELS
from edgevid.zoo.create import create_model


def measure(name: str, frames: int | None = None, size: int | None = None, **options) -> Facts:
    """Count for the network ``name``, at its standard input unless ``frames`` or ``size`` is given.

    ``options`` go to ``create_model``.
    """
    spec = MODELS[name]
    shape = spec.input_shape(frames or spec.frames, size or spec.size)
    with torch.device("meta"):
        network = create_model(name, frames=frames, **options).eval()
    return measure_network(network, shape)


def measure_network(network: torch.nn.Module, shape: Sequence[int]) -> Facts:
    """Of a network on the meta device for an input of ``shape``."""
    counts: Counter[str] = Counter()
    formulas = {ops.OPS[kind].torch_op(): functools.partial(_flops, kind, counts) for kind in ops.OPS}
    flops = FlopCounterMode(display=False, custom_mapping=formulas)
    with flops as counter, torch.no_grad(), _NormalizationSkipped():
        network(torch.empty(shape, device="meta"))
    return Facts(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        macs=counter.get_total_flops() // 2,
        temporal_ops=dict(sorted(counts.items())),
    )


class _NormalizationSkipped(TorchFunctionMode):
    """Batch norm has no MACs, and most of the time would go into its shapes."""

    def __torch_function__(self, function, types, arguments=(), keywords=None):
        if function is torch.nn.functional.batch_norm:
            return torch.empty_like(arguments[0])
        return function(*arguments, **(keywords or {}))


def fixed_numbers(name: str) -> dict[str, str]:
    """The dimensions (batch, frames, size) that the network ``name`` fixes, and the layer that fixes each.

    Sizes are tried 32 and 64 pixels larger, as most networks halve them five times.
    """
    spec, fixed = MODELS[name], {}
    with torch.device("meta"):
        network = create_model(name).eval()
    batch, *clip, height, width = spec.input_shape(spec.frames, spec.size)
    inputs = {"batch": (batch + 2, *clip, height, width), "size": (batch, *clip, height + 32, width + 64)}
    if spec.input == "clip":
        inputs["frames"] = (batch, clip[0] + 3, *clip[1:], height, width)
    for kind, shape in sorted(inputs.items()):
        with LayerWatch(network) as watch, torch.no_grad():
            try:
                network(torch.empty(shape, device="meta"))
            except Exception:  # a network may raise anything on an input of another shape
                fixed[kind] = watch.layer
    return fixed


def _flops(kind: str, counts: Counter[str], *arguments: object, out_shape: object = None) -> int:
    """Twice the MACs of a call of the op ``kind``; torch passes the shapes of its tensors as arguments."""
    counts[kind] += 1
    op = ops.OPS[kind]
    names = [argument.name for argument in op.torch_op().default._schema.arguments]
    by_name = dict(zip(names, arguments))
    inputs = [
        None if value is None else ir.Value(name=name, shape=ir.Shape(tuple(value)))
        for name, value in by_name.items()
        if value is None or isinstance(value, torch.Size)
    ]
    numbers = {name: int(value) for name, value in by_name.items() if isinstance(value, int)}
    node = ir.node(kind, inputs, attributes=numbers, domain=ops.DOMAIN)
    return 2 * op.cost_of(node, tuple(inputs[0].shape.numpy())).macs


if __name__ == "__main__":
    for model in sys.argv[1:] or MODELS:
        facts = measure(model)
        parts = [f"parameters={facts.parameters:_}", f"macs={facts.macs:_}"]
        parts += [f"temporal_ops={facts.temporal_ops}"] if facts.temporal_ops else []
        parts += [f"fixed={fixed}"] if (fixed := fixed_numbers(model)) else []
        print(f"{model}: facts=Facts({', '.join(parts)})")
