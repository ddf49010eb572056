"""The definition of a temporal op: one object, at the end of the op's module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import onnx_ir as ir

DOMAIN = "edgevid"
"""The ONNX domain and the torch namespace of the temporal ops."""

OPSET_VERSION = 18
"""The standard opset of function bodies and of traced graphs."""

STEP = "Step"
"""The suffix of a streaming step's op type."""

OPTIONAL_INPUTS = frozenset({"bias"})
"""The inputs that a node of any op may omit."""


@dataclass(frozen=True)
class Cost:
    """MACs, and the bytes read and written if the op runs by itself and accesses each element once."""

    macs: int
    bytes_moved: int


@dataclass(frozen=True)
class StreamingStep:
    """The op that runs a causal op one frame at a time.

    ``op_type(x, state, *other_inputs, **attributes)`` returns ``(y, next_state)``; ``state_shape`` includes
    the batch axis. The first state is zeros.
    """

    op_type: str
    attributes: dict[str, int]
    state_shape: tuple[int, ...]


@dataclass(frozen=True)
class Example:
    """A valid, causal use of an op for the tests of every op: shapes of its inputs, and attributes."""

    shapes: tuple[tuple[int, ...], ...]
    attributes: dict[str, int]


class Attributes(Protocol):
    """The attributes of a node and the shapes of its weights."""

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise ``ValueError`` unless the op accepts a tensor of ``shape``."""


class GraphBuilder(Protocol):
    """Inserts standard operators for a lowering; implemented by ``edgevid.passes.build.Builder``."""

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
    """A temporal op; a module of this package registers it by defining ``OP``.

    Its functions import torch and onnx_ir inside, so that devices can import the module without them.
    """

    name: str
    """The ONNX op type."""
    functions: Mapping[str, str]
    """The function bodies of the op and of its streaming step, in ONNX's text format by op type.

    A body that needs the number of frames reads it from one Constant, called ``frames_scalar``: where clips
    may have any length, that becomes an input.
    """
    from_node: Callable[[Any], A]
    """The attributes of a node of the op or of its step; raises ``ValueError`` for a missing one."""
    cost: Callable[[A, tuple[int, ...]], Cost]
    """The cost for a float32 input of a shape."""
    streaming_step: Callable[[A, tuple[int, ...]], StreamingStep | str | None]
    """Its streaming step; None if it needs no state; a sentence why if it cannot be streamed."""
    torch_op: Callable[[], Any]
    """``torch.ops.edgevid.X``, registered on first call: tensors become node inputs, numbers attributes."""
    lower: Callable[[ir.Node, GraphBuilder, str], None]
    """Replaces a node of the op by standard operators with static shapes, in one of ``variants``."""
    example: Example
    variants: Mapping[str, str]
    """The lowering variants, the default first, with their descriptions in a bundle's list of kernels."""
    lower_step: Callable[[ir.Node, GraphBuilder], None] | None = None
    """Like ``lower``, for a node of the streaming step, if the op has one."""

    @property
    def default_variant(self) -> str:
        return next(iter(self.variants))

    @property
    def op_types(self) -> tuple[str, ...]:
        """The op types of the op and of its streaming step, if it has one."""
        return tuple(self.functions)

    @property
    def snake_name(self) -> str:
        """``temporal_shift`` for ``TemporalShift``: the name of its torch op and of its module."""
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in self.name).removeprefix("_")

    def cost_of(self, node: Any, shape: tuple[int, ...]) -> Cost:
        """The cost of ``node`` for an input of ``shape``."""
        return self.cost(self.from_node(node), shape)

    def check(self, node: Any, shape: tuple[int, ...]) -> None:
        """Raise ``ValueError`` unless ``node`` is complete and accepts an input of ``shape``."""
        self.from_node(node).check(shape)

    def streaming_step_of(self, node: Any, shape: tuple[int, ...]) -> StreamingStep | str | None:
        """The streaming step of ``node`` for an input of ``shape``."""
        return self.streaming_step(self.from_node(node), shape)


def integers(node: ir.Node, *names: str) -> tuple[int, ...]:
    """The integer attributes ``names`` of ``node``; raises ``ValueError`` if one is missing."""
    missing = [name for name in names if name not in node.attributes]
    if missing:
        raise ValueError(f"a {node.op_type} needs {', '.join(missing)}")
    return tuple(node.attributes[name].as_int() for name in names)


def input_shape(node: ir.Node, index: int) -> tuple[int, ...] | None:
    """The shape of an input, None if it is omitted; raises ``ValueError`` if it is not static."""
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is None:
        return None
    if value.shape is None or not value.shape.is_static():
        raise ValueError(f"input {index} of a {node.op_type} has no fixed shape")
    return tuple(value.shape.numpy())
