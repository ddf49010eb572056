"""A builder that inserts nodes and constants into a graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgevid.passes.layer_names import LAYER, layer_of


class Builder:
    """Inserts nodes before ``anchor``; every value gets a shape and a type, so that costs can be counted."""

    def __init__(self, graph: ir.Graph, anchor: ir.Node, prefix: str) -> None:
        self._graph, self._anchor, self._prefix, self._count = graph, anchor, prefix, 0
        self._names = {*graph.initializers, *(node.name for node in graph)}

    def constant(self, array: np.ndarray) -> ir.Value:
        return self._register(self._name(), array)

    def _register(self, name: str, array: np.ndarray) -> ir.Value:
        tensor = ir.tensor(array, name=name)
        value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
        self._graph.register_initializer(value)
        return value

    def zeros(self, shape: Sequence[int], dtype: np.dtype) -> ir.Value:
        """Zeros of ``shape``: one constant per shape and type, shared by all its readers."""
        name = f"zeros_{np.dtype(dtype).name}_{'x'.join(map(str, shape))}"
        if name in self._graph.initializers:
            return self._graph.initializers[name]
        return self._register(name, np.zeros(shape, dtype))

    def ints(self, values: Sequence[int]) -> ir.Value:
        return self.constant(np.array(values, dtype=np.int64))

    def node(
        self,
        op_type: str,
        inputs: Sequence[ir.Value],
        shape: Sequence[int],
        type_: ir.TypeProtocol,
        domain: str = "",
        **attributes,
    ) -> ir.Value:
        """Insert a node; returns its output, of ``shape`` and ``type_``. The default domain is ONNX's own."""
        name = self._name()
        node = ir.node(op_type, inputs, attributes=attributes, domain=domain, name=name)
        if layer := layer_of(self._anchor):
            node.meta[LAYER] = layer
        result = node.outputs[0]
        result.name, result.shape, result.type = f"{name}_result", ir.Shape(tuple(shape)), type_
        self._graph.insert_before(self._anchor, node)
        return result

    def replace_anchor(self, *results: ir.Value) -> None:
        """Replace the anchor and its outputs by ``results``, which take over the names of the outputs."""
        for old, new in zip(self._anchor.outputs, results):
            name = old.name
            old.name = f"{name}_replaced"
            new.name = name
            old.replace_all_uses_with(new, replace_graph_outputs=True)
        self._graph.remove(self._anchor, safe=True)

    def _name(self) -> str:
        while (name := f"{self._prefix}/{self._count}") in self._names:
            self._count += 1
        self._names.add(name)
        return name
