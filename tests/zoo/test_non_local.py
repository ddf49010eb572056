"""The non-local block computes the paper's sums, written out position by position."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import max_pool2d

import edgevid
from edgevid.errors import EdgevidError
from edgevid.zoo.layers.non_local import PAIRWISE, NonLocal

pytestmark = pytest.mark.slow


def trained(block: NonLocal) -> NonLocal:
    """The block with values as after training: a batch norm at zero would hide everything."""
    torch.manual_seed(0)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, 0, 0.5)
    torch.nn.init.uniform_(block.bn.running_var, 0.5, 1.5)
    return block.double().eval()


def by_the_formula(block: NonLocal, clip: torch.Tensor, subsample: bool) -> torch.Tensor:
    """``clip`` is ``(T, C, H, W)``; f(x_i, x_j) for every pair, normalized as in section 3.2."""

    def positions(x: torch.Tensor) -> torch.Tensor:
        return x.transpose(0, 1).flatten(1).T

    def pooled(x: torch.Tensor) -> torch.Tensor:
        return max_pool2d(x, 2) if subsample else x

    gaussian = block.pairwise == "gaussian"
    theta = positions(clip if gaussian else block.theta(clip))
    phi = positions(pooled(clip if gaussian else block.phi(clip)))
    g = positions(pooled(block.g(clip)))
    if block.pairwise == "concatenation":
        pairs = torch.cat([theta[:, None].expand(-1, len(phi), -1), phi.expand(len(theta), -1, -1)], 2)
        f = torch.relu(pairs @ block.project.weight[0, :, 0, 0]) / len(phi)
    elif block.pairwise == "dot_product":
        f = theta @ phi.T / len(phi)
    else:
        f = torch.exp(theta @ phi.T)
        f = f / f.sum(1, keepdim=True)
    frames, _, height, width = clip.shape
    y = (f @ g).T.reshape(-1, frames, height, width).transpose(0, 1)
    return clip + block.bn(block.out(y))


@pytest.mark.parametrize("subsample", [True, False])
@pytest.mark.parametrize("pairwise", PAIRWISE)
@torch.no_grad()
def test_the_block_computes_the_sum_over_all_positions_of_a_clip(pairwise, subsample):
    block = trained(NonLocal(6, pairwise, subsample))
    clips = torch.randn(2, 3, 6, 5, 4, dtype=torch.float64) / 3
    actual = block(clips.flatten(0, 1), frames=3).unflatten(0, (2, 3))
    for one, clip in zip(actual, clips):
        torch.testing.assert_close(one, by_the_formula(block, clip, subsample))
        assert not torch.allclose(one, clip, atol=1e-3)


@pytest.mark.parametrize("pairwise", PAIRWISE)
@torch.no_grad()
def test_the_block_starts_as_the_identity(pairwise):
    x = torch.randn(4, 8, 6, 6)
    torch.testing.assert_close(NonLocal(8, pairwise).eval()(x, frames=2), x)


def test_a_pairwise_function_that_the_paper_does_not_have_is_refused():
    with pytest.raises(EdgevidError, match="'cosine': choose one of embedded_gaussian, gaussian"):
        NonLocal(8, "cosine")


class Tiny(torch.nn.Module):
    """A clip's frames, a non-local block, and the means of its channels as logits."""

    def __init__(self, pairwise: str) -> None:
        super().__init__()
        self.lift = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.block = trained(NonLocal(8, pairwise)).float()

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        x = self.block(self.lift(clip.flatten(0, 1)) / 4, clip.shape[1])
        return x.mean((2, 3)).unflatten(0, (clip.shape[0], -1)).mean(1)


@pytest.mark.parametrize("pairwise", PAIRWISE)
def test_a_trained_block_exports_and_equals_pytorch(pairwise, tmp_path):
    bundle = edgevid.export(Tiny(pairwise), output=tmp_path / "tiny", frames=3, size=16)
    assert all(artefact.parity.max_rel < 1e-5 for artefact in bundle.manifest.artefacts)
