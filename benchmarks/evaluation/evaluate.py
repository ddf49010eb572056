"""``edgevid eval``: what a bundle predicts for the videos of a data set, and how often that is right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edgevid
from edgevid.backends import opener
from edgevid.benchmarks.evaluation.labels import matching
from edgevid.benchmarks.evaluation.network import Network
from edgevid.benchmarks.evaluation.protocols import BUNDLE, Protocol, protocol_named
from edgevid.benchmarks.evaluation.readers import Readers
from edgevid.benchmarks.evaluation.records import Record, Skipped
from edgevid.benchmarks.evaluation.views import Views
from edgevid.bundle.bundle import Bundle
from edgevid.errors import BenchmarkError
from edgevid.host.processor import architecture, usable_threads
from edgevid.specs import LOGITS, Manifest
from edgevid.video.datasets import LabelledVideo

COLOR_CHANNELS = 3
MAX_READERS = 8
"""Without --readers: each holds up to three views, 25 MB each if of 32 frames of 256 pixels."""


@dataclass(frozen=True)
class Request:
    """What is evaluated, but for the videos.

    ``protocol`` is a name; ``online``: a streaming bundle also sees every frame; ``early``: the accuracy by
    the fraction of the frames seen. ``threads`` of the network and ``readers`` of videos; None: as many as
    there are cores, but at most ``MAX_READERS``.
    """

    protocol: str = BUNDLE
    online: bool = False
    early: bool = False
    threads: int | None = None
    readers: int | None = None


class Evaluation:
    """A bundle that is open for a data set with ``classes``.

    ``remarks`` are what a reader of the result should know. Raises ``BenchmarkError`` if the bundle is for
    another device, is no classifier of color videos, has another number of classes, or cannot be tested so.
    """

    def __init__(self, bundle: Path, classes: Sequence[str], request: Request, session: Any = None) -> None:
        if session is None:
            _check_opens_here(bundle)
            # With shares_cores the network leaves the cores to the readers while it waits.
            session = edgevid.open(bundle, threads=request.threads, shares_cores=True)
        self.session = session
        manifest = self.session.manifest
        self.request = request
        _check_runs_here(bundle, self.session)
        _check_classifies_color(bundle, self.session)
        self.every_frame = request.online or (request.early and manifest.streaming)
        if request.online and not manifest.streaming:
            raise BenchmarkError(
                f"--online needs a streaming bundle: '{bundle}' takes whole clips; export it with --stream"
            )
        self.protocol: Protocol = protocol_named(request.protocol, manifest.preprocessing.sampling)
        early_views = request.early and not manifest.streaming
        self.views = Views(self.protocol, manifest.preprocessing, manifest.frames, early_views)
        self.outputs, remark = matching(self.session.labels, manifest.classes, classes)
        self.remarks = [text for text in (remark, self._size_remark()) if text]

    def run(self, videos: Iterable[LabelledVideo]) -> Iterator[Record | Skipped]:
        """Each video's outcome as it comes."""
        network = Network(self.session, self.protocol, self.outputs, self.request.early)
        threads = self.request.readers or min(MAX_READERS, usable_threads())
        with Readers(videos, self.views, threads, self.every_frame) as pieces:
            for piece in pieces:
                outcome = network.take(piece)
                if outcome is not None:
                    yield outcome

    def _size_remark(self) -> str | None:
        size = self.protocol.size
        if size in (None, self.views.crop):
            return None
        return (
            f"protocol '{self.protocol.name}' was published for pictures of {size} pixels, and this bundle "
            f"takes {self.views.crop}: export with --size {size} to compare figures"
        )


def _check_opens_here(bundle: Path) -> None:
    manifest = Bundle.open(bundle).manifest
    artefacts = [each for each in manifest.artefacts if each.file == manifest.model_file]
    if any(opener(manifest.backend, each) != manifest.backend for each in artefacts):
        raise _for_another_device(bundle, manifest)


def _check_runs_here(bundle: Path, session: Any) -> None:
    expected = session.target.architecture if session.target else "any"
    if expected not in ("any", architecture()):
        raise _for_another_device(bundle, session.manifest)


def _for_another_device(bundle: Path, manifest: Manifest) -> BenchmarkError:
    return BenchmarkError(
        f"bundle '{bundle}' is for {manifest.target} ({manifest.backend}), not for this machine: "
        "evaluate it there, or export the same weights with --target cpu"
    )


def _check_classifies_color(bundle: Path, session: Any) -> None:
    manifest = session.manifest
    outputs = [output.name for output in manifest.outputs]
    if LOGITS not in outputs:
        raise BenchmarkError(
            f"bundle '{bundle}' is not a classifier (its outputs are {' and '.join(outputs)}): "
            "evaluate one that is"
        )
    if manifest.inputs[0].shape[-3] != COLOR_CHANNELS:
        raise BenchmarkError(
            f"bundle '{bundle}' takes frames of {manifest.inputs[0].shape[-3]} channels, not the RGB "
            "frames of a video: evaluate a network of RGB frames"
        )
