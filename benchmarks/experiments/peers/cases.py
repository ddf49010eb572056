"""What is measured: cases (a backbone, as a clip or as a stream) and the contestants in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MODELS = {"resnet50": "r50", "mobilenet_v2": "mbv2"}
MODES = ("clip", "streaming")
NETWORKS = {
    "tsn": "without shift; in streaming the plain image network on one frame",
    "tsm": "shift by slice assignment into zeros, as TSM's authors write it; in streaming the online network",
    "tsm-cat": "the same shift by concatenation with zeros, as MMAction2 writes it: easier on exporters",
}
FILES = {"edgevid": "bundle", "onnxruntime": "onnx", "openvino": "onnx", "executorch": "pt2"}
"""The peers, and the kind of file each needs; PyTorch itself needs the weights alone."""
PEERS = (*FILES, "eager", "compile")


@dataclass(frozen=True)
class Case:
    """A backbone, ``clip`` or ``streaming``, and the sizes; weights and input follow from ``seed``."""

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
        # A stream has only one way to put a remembered frame in front.
        return ("tsn", "tsm") if self.streaming else tuple(NETWORKS)

    def zoo_name(self, network: str) -> str:
        """The network's name in edgevid's list, such as ``tsm_r50_online``."""
        online = "_online" if self.streaming and network != "tsn" else ""
        return f"{network.partition('-')[0]}_{MODELS[self.model]}{online}"

    def __str__(self) -> str:
        return f"{self.model} {self.mode}"


@dataclass(frozen=True)
class Contestant:
    peer: str
    network: str

    def __str__(self) -> str:
        return f"{self.peer} {self.network}"


def contestants(case: Case, peers: Sequence[str]) -> tuple[Contestant, ...]:
    """Every peer with every network of the case that it is asked about.

    How the shift is written is a question for those who take an exported file. edgevid has its own.
    """
    return tuple(
        Contestant(peer, network)
        for peer in peers
        for network in case.networks
        if network != "tsm-cat" or FILES.get(peer) in ("onnx", "pt2")
    )
