"""Which TensorRT a network needs: the least version that has every operator of its graph.

From the tables of supported operators that onnx-tensorrt publishes for each release (docs/operators.md of its
releases 8.2, 8.4, 8.5, 8.6, 10.0 and 10.1). A network whose operators all exist in opset 13 is written in it,
which TensorRT 8.2 and later read; another is written in opset 18 where the device has TensorRT 10, which has
them itself, and for older ones in operators of opset 13 (``passes/older_operators.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgevid.errors import ExportError

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True, order=True)
class Version:
    """``major.minor`` of a TensorRT; they compare as numbers."""

    major: int
    minor: int = 0

    @classmethod
    def of(cls, text: str) -> Version:
        """From "10.3", "10.3.0.26" or "10"."""
        major, minor = [*text.split("."), "0"][:2]
        return cls(int(major), int(minor))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


LEAST = Version(8, 2)
"""What any network of ours needs: opset 13, and the options of trtexec that ``build.sh`` relies on."""

NEW_OPSETS = Version(10, 0)
"""The first that reads opsets up to 20; ours is 18."""

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
"""The first release that has an operator; one that is not here is in 8.2, or in ``NEVER``."""

NEVER = {
    "BitShift", "Compress", "ConvInteger", "Det", "DynamicQuantizeLinear", "MatMulInteger", "MaxRoiPool",
    "MaxUnpool", "Multinomial", "NegativeLogLikelihoodLoss", "QLinearConv", "QLinearMatMul",
    "SoftmaxCrossEntropyLoss", "SplitToSequence", "TfIdfVectorizer", "Unique", "DFT", "STFT", "Bernoulli",
    "AffineGrid", "CenterCropPad", "Col2Im", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor",
}  # fmt: skip
"""Operators that no release up to 10.1 has; a later one may, and says so itself."""


REPLACED = {"HardSwish", "Reciprocal", "CastLike", "CumSum"}
"""What is said in operators of opset 13 whatever the device, as TensorRT computes the same for both."""


@dataclass(frozen=True)
class Requirement:
    """The least version, and the operator that asks for it (empty if it is ``LEAST``)."""

    version: Version
    operator: str = ""

    @property
    def reason(self) -> str:
        return f"for {self.operator}" if self.operator else "for any network of edgevid's"


def requirement_of(graph: ir.Model, device: Version = NEW_OPSETS) -> Requirement:
    """What ``graph``, in standard operators, needs; the newest operator decides.

    An operator that a ``device`` before ``NEW_OPSETS`` lacks, but that older ones can say, asks for nothing.
    """
    import onnx

    from edgevid.passes.older_operators import OLDER

    replaced = REPLACED if device >= NEW_OPSETS else set(OLDER)
    needed = Requirement(LEAST)
    for op_type in sorted({node.op_type for node in graph.graph} - replaced):
        version = SINCE.get(op_type, LEAST)
        if not onnx.defs.has(op_type, 13, ""):
            version = max(version, NEW_OPSETS)
        if version > needed.version:
            needed = Requirement(version, op_type)
    return needed


def check_target(graph: ir.Model, title: str, tensorrt: str) -> Requirement:
    """The requirement of ``graph``; ``ExportError`` if ``tensorrt``, the device's version, is older."""
    from edgevid.passes.layer_names import describe

    never = [node for node in graph.graph if not node.domain and node.op_type in NEVER]
    if never:
        raise ExportError(f"no TensorRT has the operator of {describe(never[0])}: use --backend onnxruntime")
    device = Version.of(tensorrt)
    needed = requirement_of(graph, device)
    if device < needed.version:
        first = next(node for node in graph.graph if node.op_type == needed.operator)
        raise ExportError(
            f"{title} has TensorRT {tensorrt}, and {describe(first)} needs {needed.version}: "
            "choose a newer device (edgevid list targets), or --backend onnxruntime"
        )
    return needed
