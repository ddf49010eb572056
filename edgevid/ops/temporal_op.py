"""What the program knows about a temporal op: one object, defined at the end of the op's file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import onnx_ir as ir

DOMAIN = "edgevid"
"""The ONNX domain, and the torch namespace, of every temporal op."""

OPSET_VERSION = 18
"""The standard opset that function bodies are written in and that traced graphs use."""

STEP = "Step"
"""What the name of a streaming step adds to that of its op."""

OPTIONAL_INPUTS = frozenset({"bias"})
"""The inputs that a node of any op may leave out."""


@dataclass(frozen=True)
class Cost:
    """Multiply-adds, and the bytes read and written when the op runs alone, each element touched once."""

    macs: int
    bytes_moved: int


@dataclass(frozen=True)
class StreamingStep:
    """How a causal op runs one frame at a time.

    ``op_type(x, state, *other_inputs, **attributes)`` gives ``(y, next_state)``; ``state_shape`` includes the
    batch.
    """

    op_type: str
    attributes: dict[str, int]
    state_shape: tuple[int, ...]


@dataclass(frozen=True)
class Example:
    """A sound, causal use of an op, which the tests of every op run: shapes of its inputs, and attributes."""

    shapes: tuple[tuple[int, ...], ...]
    attributes: dict[str, int]


class Attributes(Protocol):
    """The attributes of a node and the shapes of its weights."""

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise ``ValueError`` unless the op takes a tensor of ``shape``."""


class GraphBuilder(Protocol):
    """What a lowering writes standard operators with; ``edgevid.passes.build.Builder`` is one."""

    def constant(self, array: np.ndarray) -> ir.Value: ...

    def zeros(self, shape: Sequence[int], dtype: np.dtype) -> ir.Value: ...

    def ints(self, values: Sequence[int]) -> ir.Value: ...

    def node(
        self,
        op_type: str,
        inputs: Sequence[ir.Value],
        shape: Sequence[int],
        type_: Any,
        domain: str = "",
        **attributes: Any,
    ) -> ir.Value: ...

    def replace_anchor(self, *results: ir.Value) -> None: ...


A = TypeVar("A", bound=Attributes)


@dataclass(frozen=True)
class TemporalOp(Generic[A]):
    """One temporal op; a file of this package that defines one as ``OP`` registers it.

    Functions on it import torch and onnx_ir inside, so that a device can read the rest.
    """

    name: str
    """The ONNX op type."""
    functions: Mapping[str, str]
    """The op, and its streaming step if it has one, in standard ops: ONNX's text form by op type."""
    from_node: Callable[[Any], A]
    """The attributes of a node of the op or of its step; ``ValueError`` says what the node lacks."""
    cost: Callable[[A, tuple[int, ...]], Cost]
    """What a float32 input of a shape costs."""
    streaming_step: Callable[[A, tuple[int, ...]], StreamingStep | str | None]
    """How it runs frame by frame; None if it needs no state, a sentence if it cannot."""
    torch_op: Callable[[], Any]
    """``torch.ops.edgevid.X``, registered on first call: tensors are inputs of a node, numbers attributes."""
    lower: Callable[[ir.Node, GraphBuilder, str], None]
    """Replaces a node of the op by standard operators of static shape, in one of ``variants``."""
    example: Example
    variants: Mapping[str, str]
    """The ways to lower it, the default first, each with the words for it in a bundle's list of kernels."""
    lower_step: Callable[[ir.Node, GraphBuilder], None] | None = None
    """The same for a node of its streaming step, if it has one."""

    @property
    def default_variant(self) -> str:
        return next(iter(self.variants))

    @property
    def op_types(self) -> tuple[str, ...]:
        """The op, then its streaming step if it has one."""
        return tuple(self.functions)

    @property
    def snake_name(self) -> str:
        """``temporal_shift`` for ``TemporalShift``: the name of its torch op and of its file."""
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in self.name).removeprefix("_")

    def cost_of(self, node: Any, shape: tuple[int, ...]) -> Cost:
        """What ``node`` costs for an input of ``shape``."""
        return self.cost(self.from_node(node), shape)

    def check(self, node: Any, shape: tuple[int, ...]) -> None:
        """Raise ``ValueError`` unless ``node`` is complete and takes an input of ``shape``."""
        self.from_node(node).check(shape)

    def streaming_step_of(self, node: Any, shape: tuple[int, ...]) -> StreamingStep | str | None:
        """How ``node`` runs frame by frame, for an input of ``shape``."""
        return self.streaming_step(self.from_node(node), shape)


def integers(node: ir.Node, *names: str) -> tuple[int, ...]:
    """The attributes of ``node`` by these names; one that is missing raises ``ValueError``."""
    missing = [name for name in names if name not in node.attributes]
    if missing:
        raise ValueError(f"a {node.op_type} needs {', '.join(missing)}")
    return tuple(node.attributes[name].as_int() for name in names)


def input_shape(node: ir.Node, index: int) -> tuple[int, ...] | None:
    """The shape of an input, None if it is left out; one that is not fixed raises ``ValueError``."""
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is None:
        return None
    if value.shape is None or not value.shape.is_static():
        raise ValueError(f"input {index} of a {node.op_type} has no fixed shape")
    return tuple(value.shape.numpy())
