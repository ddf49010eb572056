"""Does a network answer differently each time, and which layer or operator draws the random numbers?"""

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
"""max|a-b| / max|b| of two runs that are the same: threads may add in another order."""
SHOWN = 3
DRAWS = 16
"""Runs to tell whether the random numbers that were drawn matter."""
RANDOM_NODES = ("Bernoulli", "Multinomial", "RandomNormal", "RandomUniform")
"""Of ONNX, some of which have forms that end in ``Like``."""
NOT_THE_CALLER = (os.path.dirname(torch.__file__) + os.sep, __file__, contextlib.__file__)

Run = Callable[[], Mapping[str, np.ndarray]]


def refuse_if_random(
    name: str, network: torch.nn.Module, run: Run, first: Mapping[str, np.ndarray]
) -> tuple[str, ...]:
    """Run again, and raise ``ExportError`` if the outputs are not those of the ``first`` run.

    Gives the random operators that ran, in words, where the outputs are the same all the same: they may not
    matter, or have dropped nothing twice.
    """
    states = _generators()
    second, operators = _record(network, run)
    if second is None or not (operators or _same(second, first)):
        second = _run_again(name, run)  # a layer may take another path while operators are recorded
    if _same(second, first) and (operators or _generators() != states):  # a layer left out now and then
        again = (run() for _ in range(DRAWS))
        second = next((outputs for outputs in again if not _same(outputs, first)), second)
    if _same(second, first):
        return operators
    raise ExportError(_sentence(name, _drawn_by(operators) if operators else _hidden_cause(network, run)))


def refuse_random_nodes(name: str, graph: ir.Model, operators: tuple[str, ...]) -> None:
    """Raise ``ExportError`` if a simplified graph still draws random numbers; ``operators`` ran in eager."""
    nodes = [node.op_type for node in graph.graph if node.op_type.removesuffix("Like") in RANDOM_NODES]
    if nodes:
        raise ExportError(_sentence(name, _drawn_by(operators or tuple(dict.fromkeys(nodes)))))


def _run_again(name: str, run: Run) -> Mapping[str, np.ndarray]:
    try:
        return run()
    except ExportError:
        raise
    except Exception as error:  # the user's network may raise anything
        raise ExportError(
            f"{name} takes an input once, and fails when it is called with the same one again: "
            f"{first_line(error)}. Let it keep nothing from one call to the next"
        ) from error


def _sentence(name: str, cause: str) -> str:
    hint = " (F.dropout takes training=self.training)" if "dropout" in cause else ""
    return (
        f"{name} gives another output each time for the same input: {cause}. An export always answers the "
        f"same, so let the network do that in evaluation mode{hint}"
    )


def _drawn_by(operators: tuple[str, ...]) -> str:
    more = f" and {len(operators) - SHOWN} more" if len(operators) > SHOWN else ""
    draw = "draws" if len(operators) == 1 else "draw"
    return f"{', '.join(operators[:SHOWN])}{more} {draw} random numbers"


def _same(result: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> bool:
    return compare(result, expected, ROUNDING).ok


def _record(network: torch.nn.Module, run: Run) -> tuple[Mapping[str, np.ndarray] | None, tuple[str, ...]]:
    """Outputs, and the random operators with their layers; no outputs if the network does not bear it."""
    try:
        with _path_of_layer(network) as layer, _RandomOperators(layer) as recorded:
            outputs = run()
    except Exception:  # of compiled modules, or of tensors of a kind of their own
        return None, ()
    return outputs, tuple(dict.fromkeys(recorded.found))


class _RandomOperators(TorchDispatchMode):
    """Records each operator that draws random numbers, in words."""

    def __init__(self, layer: Callable[[], str]) -> None:
        super().__init__()
        self.found: list[str] = []
        self._layer = layer

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in operator.tags and _draws(operator, args, kwargs):
            function, line = _caller()
            function = function or operator._schema.name.partition("::")[2].rstrip("_")
            path = self._layer()
            self.found.append(f"'{function}'{f' in layer {path!r}' if path else ''}{line}")
        return operator(*args, **kwargs)


def _draws(operator, args: tuple, kwargs: dict[str, Any]) -> bool:
    """Whether a random operator is random with these arguments: attention has a dropout, mostly of 0."""
    for place, argument in enumerate(operator._schema.arguments):
        value = args[place] if place < len(args) else kwargs.get(argument.name, argument.default_value)
        if argument.name in ("p", "dropout_p") and value == 0:
            return False
        if argument.name in ("training", "train") and value is False:
            return False
    return True


def _caller() -> tuple[str, str]:
    """The function of PyTorch that the network calls, if it is one in Python, and the file and line."""
    function, frame = "", sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(NOT_THE_CALLER):
        if frame.f_globals.get("__name__") == "torch.nn.functional":
            function = frame.f_code.co_name
        frame = frame.f_back
    return function, f" ({os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno})" if frame else ""


@contextlib.contextmanager
def _path_of_layer(network: torch.nn.Module) -> Iterator[Callable[[], str]]:
    """A function that gives the path of the layer that runs at that moment, empty for the network itself."""
    running = [""]
    with _hooked(network, running.append, lambda path, output: running.pop()):
        yield lambda: running[-1]


@contextlib.contextmanager
def _hooked(
    network: torch.nn.Module, before: Callable[[str], Any], after: Callable[[str, Any], Any]
) -> Iterator[None]:
    """Call ``before`` with the path of each layer that begins, ``after`` with path and output as it ends."""
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
    """What differs between runs that use no random operator of PyTorch."""
    states, buffers = _generators(), {name: value.clone() for name, value in network.named_buffers()}
    before = _outputs_of_layers(network, run)
    drawing = [name for name, state in _generators().items() if state != states[name]]
    changed = [name for name, value in network.named_buffers() if not torch.equal(value, buffers[name])]
    after = _outputs_of_layers(network, run)
    first = next((path for (path, now), (_, then) in zip(after, before) if now != then and path), None)
    where = f", seen first in the output of layer '{first}'" if first else ""
    if drawing:
        return f"it draws random numbers by {' and '.join(drawing)}{where}"
    if changed:
        return f"it keeps something from one call to the next, in its buffer '{changed[0]}'{where}"
    return f"it draws random numbers, or keeps something from one call to the next{where}"


def _generators() -> dict[str, Any]:
    """The states of the random generators that Python programs share."""
    kind, keys, place, *_ = np.random.get_state()
    return {"Python's random": random.getstate(), "numpy.random": (kind, keys.tobytes(), place)}


def _outputs_of_layers(network: torch.nn.Module, run: Run) -> list[tuple[str, list[float]]]:
    """Path and sums of the outputs of each layer, in the order in which they end."""
    seen: list[tuple[str, list[float]]] = []

    def keep(path: str, output: Any) -> None:
        tensors = [leaf for leaf in tree_leaves(output) if isinstance(leaf, torch.Tensor)]
        seen.append((path, [float(t.double().sum()) + float(t.double().square().sum()) for t in tensors]))

    with _hooked(network, lambda path: None, keep):
        run()
    return seen
