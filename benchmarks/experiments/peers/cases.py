"""The cases (a backbone, on a clip or as a stream) and the candidates in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MODELS = {"resnet50": "r50", "mobilenet_v2": "mbv2"}
MODES = ("clip", "streaming")
NETWORKS = {
    "tsn": "without shift; in streaming the image classifier on one frame",
    "tsm": "shift by slice assignment into zeros, as TSM's authors write it; in streaming the online network",
    "tsm-cat": "the same shift by concatenation with zeros, as MMAction2 writes it, which exports better",
}
FILES = {"edgevid": "bundle", "onnxruntime": "onnx", "openvino": "onnx", "executorch": "pt2"}
"""The peers, and the kind of file that each opens; PyTorch itself needs only the weights."""
PEERS = (*FILES, "eager", "compile")


@dataclass(frozen=True)
class Case:
    """A backbone, ``clip`` or ``streaming``, and the sizes; ``seed`` determines weights and input."""

    model: str
    mode: str
    frames: int = 8
    size: int = 224
    classes: int = 400
    seed: int = 0

    @property
    def streaming(self) -> bool:
        return self.mode == "streaming"

    @property
    def networks(self) -> tuple[str, ...]:
        # Streaming has only one way to write the shift: concatenation with the cached channels.
        return ("tsn", "tsm") if self.streaming else tuple(NETWORKS)

    def zoo_name(self, network: str) -> str:
        """The network's name in edgevid's zoo, such as ``tsm_r50_online``."""
        online = "_online" if self.streaming and network != "tsn" else ""
        return f"{network.partition('-')[0]}_{MODELS[self.model]}{online}"

    def __str__(self) -> str:
        return f"{self.model} {self.mode}"


@dataclass(frozen=True)
class Candidate:
    """A runtime under test with one network."""

    peer: str
    network: str

    def __str__(self) -> str:
        return f"{self.peer} {self.network}"


def candidates_of(case: Case, peers: Sequence[str]) -> tuple[Candidate, ...]:
    """Every peer with every network of the case that it runs.

    How the shift is written matters only to peers that open an exported file; edgevid has its own op.
    """
    return tuple(
        Candidate(peer, network)
        for peer in peers
        for network in case.networks
        if network != "tsm-cat" or FILES.get(peer) in ("onnx", "pt2")
    )
