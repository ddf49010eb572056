"""The weights that come with edgevid are those that were trained, with matrices in half precision."""

from __future__ import annotations

import torch

from edgevid.benchmarks.experiments.digits_weights import half_matrices


def test_only_matrices_lose_precision():
    state = {
        "conv.weight": torch.full((2, 3, 1, 1), 1 / 3),
        "bn.running_var": torch.tensor([1e-9]),
        "bn.num_batches_tracked": torch.tensor(7),
    }
    halves = half_matrices(state)
    assert halves["conv.weight"].dtype == torch.float16
    assert torch.equal(halves["bn.running_var"], state["bn.running_var"])
    assert halves["bn.num_batches_tracked"] == 7
