"""The activation that ONNX Runtime fused into a convolution, as attributes of the kernels."""

from __future__ import annotations

import math

from edgevid.onnxfile.graph import Node


def activation_of(conv: Node) -> dict[str, float] | None:
    """The clamp ``low`` and ``high`` of the result, and the ``slope`` below zero of a LeakyRelu.

    None for an activation that the kernels do not support.
    """
    name, parameters = _name(conv), conv.attributes.get("activation_params")
    if name == "LeakyRelu" and 0 <= parameters[0] <= 1:
        return {"low": -math.inf, "high": math.inf, "slope": parameters[0]}
    if name == "Clip":
        return {"low": parameters[0], "high": parameters[1]}
    if name in ("", "Relu"):
        return {"low": 0.0 if name else -math.inf, "high": math.inf}
    return None


def clamp_of(conv: Node) -> tuple[float, float] | None:
    """The range that the result is clamped to; None if the activation is not a clamp."""
    activation = activation_of(conv)
    if activation is None or "slope" in activation:
        return None
    return activation["low"], activation["high"]


def refusal_of(conv: Node) -> str:
    return f"its convolution has the activation {_name(conv)}"


def _name(conv: Node) -> str:
    return conv.attributes.get("activation") or ""
