"""The oldest TensorRT that has every operator of a network.

From onnx-tensorrt's tables of supported operators (docs/operators.md of its releases 8.2, 8.4, 8.5, 8.6, 10.0
and 10.1). A network whose operators all exist in opset 13 is written in opset 13, which TensorRT 8.2 and
later read. Other networks are written in opset 18 for TensorRT 10 and later, and with replacements in opset
13 for older versions (``passes/older_operators.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgevid.errors import ExportError

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True, order=True)
class Version:
    """``major.minor`` of a TensorRT, ordered numerically."""

    major: int
    minor: int = 0

    @classmethod
    def of(cls, text: str) -> Version:
        """Parse "10.3", "10.3.0.26" or "10"."""
        major, minor = [*text.split("."), "0"][:2]
        return cls(int(major), int(minor))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


MIN_VERSION = Version(8, 2)
"""The minimum for any network: opset 13, and the trtexec options that ``build.sh`` uses."""

NEW_OPSETS = Version(10, 0)
"""The first that reads opsets up to 20; edgevid writes 18."""

SINCE = {
    "Shrink": Version(8, 4),
    "Xor": Version(8, 4),
    "GridSample": Version(8, 5),
    "MeanVarianceNormalization": Version(8, 5),
    "NonZero": Version(8, 5),
    "RandomNormal": Version(8, 5),
    "RandomNormalLike": Version(8, 5),
    "Reciprocal": Version(8, 5),
    "RoiAlign": Version(8, 5),
    "Trilu": Version(8, 5),
    "IsInf": Version(8, 6),
    "LayerNormalization": Version(8, 6),
    "Mod": Version(8, 6),
    "OneHot": Version(8, 6),
    "GroupNormalization": Version(10, 0),
    "Hardmax": Version(10, 0),
    "CastLike": Version(10, 0),
    "Gelu": Version(10, 0),
    "Mish": Version(10, 0),
    "DeformConv": Version(10, 1),
}
"""The first release with an operator; operators not listed are in 8.2, or in ``NEVER``."""

NEVER = {
    "BitShift", "Compress", "ConvInteger", "Det", "DynamicQuantizeLinear", "MatMulInteger", "MaxRoiPool",
    "MaxUnpool", "Multinomial", "NegativeLogLikelihoodLoss", "QLinearConv", "QLinearMatMul",
    "SoftmaxCrossEntropyLoss", "SplitToSequence", "TfIdfVectorizer", "Unique", "DFT", "STFT", "Bernoulli",
    "AffineGrid", "CenterCropPad", "Col2Im", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor",
}  # fmt: skip
"""Operators that no release up to 10.1 has; a later one may have them."""


REPLACED = {"HardSwish", "Reciprocal", "CastLike", "CumSum"}
"""Operators replaced in opset 13 for every device, as TensorRT computes the same for both."""


@dataclass(frozen=True)
class Requirement:
    """The minimum version, and the operator that needs it (empty if it is ``MIN_VERSION``)."""

    version: Version
    operator: str = ""

    @property
    def reason(self) -> str:
        return f"for {self.operator}" if self.operator else "as every network does"


def requirement_of(graph: ir.Model, device: Version = NEW_OPSETS) -> Requirement:
    """The requirement of ``graph``, in standard operators: that of its newest operator.

    On a ``device`` before ``NEW_OPSETS``, operators that older ones can replace are not counted.
    """
    import onnx

    from edgevid.passes.older_operators import OLDER

    replaceable = REPLACED if device >= NEW_OPSETS else set(OLDER)
    requirement = Requirement(MIN_VERSION)
    for op_type in sorted({node.op_type for node in graph.graph} - replaceable):
        version = SINCE.get(op_type, MIN_VERSION)
        if not onnx.defs.has(op_type, 13, ""):
            version = max(version, NEW_OPSETS)
        if version > requirement.version:
            requirement = Requirement(version, op_type)
    return requirement


def check_target(graph: ir.Model, title: str, tensorrt: str) -> Requirement:
    """The requirement of ``graph``; ``ExportError`` if ``tensorrt``, the device's version, is older."""
    from edgevid.passes.layer_names import describe

    unsupported = [node for node in graph.graph if not node.domain and node.op_type in NEVER]
    if unsupported:
        raise ExportError(
            f"TensorRT has no operator for {describe(unsupported[0])}: use --backend onnxruntime"
        )
    device = Version.of(tensorrt)
    requirement = requirement_of(graph, device)
    if device < requirement.version:
        first = next(node for node in graph.graph if node.op_type == requirement.operator)
        raise ExportError(
            f"{title} has TensorRT {tensorrt}, and {describe(first)} needs {requirement.version}: "
            "choose a newer device (edgevid list targets), or --backend onnxruntime"
        )
    return requirement
