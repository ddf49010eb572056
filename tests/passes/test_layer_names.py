"""A node says which layer of the network it computes, through the passes, and no file carries it along."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgevid.exporter.trace import trace
from edgevid.passes import STANDARD, run_passes
from edgevid.passes.layer_names import describe, layer_of


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(nn.Sequential(nn.Conv3d(3, 4, (3, 1, 1), padding=(1, 0, 0)), nn.ReLU()))
        self.head = nn.Linear(4, 2)

    def forward(self, clip):
        return self.head(self.blocks(clip.transpose(1, 2)).mean((2, 3, 4)))


@pytest.mark.slow
def test_a_node_names_its_layer_before_and_after_the_passes():
    graph = trace(Network().eval(), torch.zeros(1, 4, 3, 8, 8))
    assert {describe(node) for node in graph.graph} >= {"blocks.0.0 (Conv)", "blocks.0.1 (Relu)"}
    run_passes(graph, STANDARD)
    layers = {node.op_type: layer_of(node) for node in graph.graph}
    assert layers["FrameStack"] == layers["Conv"] == "blocks.0.0"
    assert layers["ReduceMean"] == ""
    assert not any(node.metadata_props for node in graph.graph)
