"""Detect networks whose output is random, and name the layer or operator that draws random numbers."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from edgevid.errors import ExportError, first_line
from edgevid.parity import compare

if TYPE_CHECKING:
    import onnx_ir as ir

ROUNDING = 1e-5
"""max|a-b| / max|b| of two equal runs: threads may add in another order."""
MAX_OPERATORS = 3
"""Operators that an error lists."""
DRAWS = 16
"""Runs that decide whether the random numbers affect the output."""
RANDOM_NODES = ("Bernoulli", "Multinomial", "RandomNormal", "RandomUniform")
"""ONNX operators; some also exist with the suffix ``Like``."""
NOT_THE_CALLER = (os.path.dirname(torch.__file__) + os.sep, __file__, contextlib.__file__)

Run = Callable[[], Mapping[str, np.ndarray]]


def refuse_if_random(
    name: str, network: torch.nn.Module, run: Run, first: Mapping[str, np.ndarray]
) -> tuple[str, ...]:
    """Run again, and raise ``ExportError`` if the outputs differ from the ``first`` run's.

    Otherwise returns descriptions of the random operators that ran: they may not affect the output, or may
    have dropped nothing in either run.
    """
    states = _generators()
    second, operators = _record(network, run)
    if second is None or not (operators or _same(second, first)):
        second = _run_again(name, run)  # a layer may take another path while operators are recorded
    if _same(second, first) and (operators or _generators() != states):  # a layer may be dropped rarely
        again = (run() for _ in range(DRAWS))
        second = next((outputs for outputs in again if not _same(outputs, first)), second)
    if _same(second, first):
        return operators
    raise ExportError(_sentence(name, _cause(operators) if operators else _hidden_cause(network, run)))


def refuse_random_nodes(name: str, graph: ir.Model, operators: tuple[str, ...]) -> None:
    """Raise ``ExportError`` if a simplified graph still draws random numbers; ``operators`` ran eagerly."""
    nodes = [node.op_type for node in graph.graph if node.op_type.removesuffix("Like") in RANDOM_NODES]
    if nodes:
        raise ExportError(_sentence(name, _cause(operators or tuple(dict.fromkeys(nodes)))))


def _run_again(name: str, run: Run) -> Mapping[str, np.ndarray]:
    try:
        return run()
    except ExportError:
        raise
    except Exception as error:  # the user's network may raise anything
        raise ExportError(
            f"{name} accepts an input once, and fails when called with the same input again: "
            f"{first_line(error)}. Let it keep nothing between calls"
        ) from error


def _sentence(name: str, cause: str) -> str:
    hint = " (F.dropout takes training=self.training)" if "dropout" in cause else ""
    return (
        f"{name} returns a different output each time for the same input: {cause}. An export is "
        f"deterministic, so make the network deterministic in evaluation mode{hint}"
    )


def _cause(operators: tuple[str, ...]) -> str:
    more = f" and {len(operators) - MAX_OPERATORS} more" if len(operators) > MAX_OPERATORS else ""
    draw = "draws" if len(operators) == 1 else "draw"
    return f"{', '.join(operators[:MAX_OPERATORS])}{more} {draw} random numbers"


def _same(result: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> bool:
    return compare(result, expected, ROUNDING).ok


def _record(network: torch.nn.Module, run: Run) -> tuple[Mapping[str, np.ndarray] | None, tuple[str, ...]]:
    """Outputs, and the random operators with their layers; no outputs if the network fails when recorded."""
    try:
        with _path_of_layer(network) as layer, _RandomOperators(layer) as recorded:
            outputs = run()
    except Exception:  # compiled modules and tensor subclasses may fail in a dispatch mode
        return None, ()
    return outputs, tuple(dict.fromkeys(recorded.operators))


class _RandomOperators(TorchDispatchMode):
    """Records a description of each operator that draws random numbers."""

    def __init__(self, layer: Callable[[], str]) -> None:
        super().__init__()
        self.operators: list[str] = []
        self._layer = layer

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in operator.tags and _draws(operator, args, kwargs):
            function, line = _caller()
            function = function or operator._schema.name.partition("::")[2].rstrip("_")
            path = self._layer()
            self.operators.append(f"'{function}'{f' in layer {path!r}' if path else ''}{line}")
        return operator(*args, **kwargs)


def _draws(operator, args: tuple, kwargs: dict[str, Any]) -> bool:
    """Whether the operator is random with these arguments: attention has a dropout, usually of 0."""
    for place, argument in enumerate(operator._schema.arguments):
        value = args[place] if place < len(args) else kwargs.get(argument.name, argument.default_value)
        if argument.name in ("p", "dropout_p") and value == 0:
            return False
        if argument.name in ("training", "train") and value is False:
            return False
    return True


def _caller() -> tuple[str, str]:
    """The function of torch.nn.functional that the network calls, if any, and its file and line."""
    function, frame = "", sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(NOT_THE_CALLER):
        if frame.f_globals.get("__name__") == "torch.nn.functional":
            function = frame.f_code.co_name
        frame = frame.f_back
    return function, f" ({os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno})" if frame else ""


@contextlib.contextmanager
def _path_of_layer(network: torch.nn.Module) -> Iterator[Callable[[], str]]:
    """A function that returns the path of the current layer, empty for the network itself."""
    running = [""]
    with _hooked(network, running.append, lambda path, output: running.pop()):
        yield lambda: running[-1]


@contextlib.contextmanager
def _hooked(
    network: torch.nn.Module, before: Callable[[str], Any], after: Callable[[str, Any], Any]
) -> Iterator[None]:
    """Call ``before`` with the path of each layer as it starts, ``after`` with path and output as it ends."""
    hooks = []
    for path, module in network.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            continue

        def begins(module, args, path=path) -> None:
            before(path)

        def ends(module, args, output, path=path) -> None:
            after(path, output)

        hooks.append(module.register_forward_pre_hook(begins))
        hooks.append(module.register_forward_hook(ends, always_call=True))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _hidden_cause(network: torch.nn.Module, run: Run) -> str:
    """The cause of a difference between runs without random operators of PyTorch."""
    states, buffers = _generators(), {name: value.clone() for name, value in network.named_buffers()}
    before = _outputs_of_layers(network, run)
    drawing = [name for name, state in _generators().items() if state != states[name]]
    changed = [name for name, value in network.named_buffers() if not torch.equal(value, buffers[name])]
    after = _outputs_of_layers(network, run)
    first = next((path for (path, now), (_, then) in zip(after, before) if now != then and path), None)
    where = f", first visible in the output of layer '{first}'" if first else ""
    if drawing:
        return f"it draws random numbers from {' and '.join(drawing)}{where}"
    if changed:
        return f"it keeps state between calls, in its buffer '{changed[0]}'{where}"
    return f"it draws random numbers, or keeps state between calls{where}"


def _generators() -> dict[str, Any]:
    """The states of the global random generators of Python and NumPy."""
    kind, keys, place, *_ = np.random.get_state()
    return {"Python's random": random.getstate(), "numpy.random": (kind, keys.tobytes(), place)}


def _outputs_of_layers(network: torch.nn.Module, run: Run) -> list[tuple[str, list[float]]]:
    """Path and output sums of each layer, in the order in which layers end."""
    sums: list[tuple[str, list[float]]] = []

    def keep(path: str, output: Any) -> None:
        tensors = [leaf for leaf in tree_leaves(output) if isinstance(leaf, torch.Tensor)]
        sums.append((path, [float(t.double().sum()) + float(t.double().square().sum()) for t in tensors]))

    with _hooked(network, lambda path: None, keep):
        run()
    return sums
