"""Does ``edgevid eval`` keep the cores busy? Its speed against reading videos alone and inference alone.

``python -m edgevid.benchmarks.experiments.eval_speed BUNDLE DATASET [--videos 32] [--rounds 10]``

Interleaved rounds, in two settings. With a core for each stage (one thread reads, one runs the network), a
video should take as long as the slower stage alone. With every core for both, as ``edgevid eval`` does by
default, it should take no longer than both stages alone, one after the other.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

from edgevid.benchmarks.evaluation.evaluate import Evaluation, Request
from edgevid.benchmarks.evaluation.network import Network
from edgevid.benchmarks.evaluation.readers import Kind, Piece, Readers
from edgevid.benchmarks.experiments.study import Samples, Study, interleave, paired_ratio
from edgevid.bundle.bundle import Bundle
from edgevid.host.processor import usable_threads
from edgevid.video.datasets import LabelledVideo, open_dataset

BOUND = 0.90
KEPT = 4
"""Videos whose views are kept in memory, for inference alone."""


def main() -> None:
    study = Study(__doc__.splitlines()[0], rounds=10)
    study.parser.add_argument("bundle", type=Path, help="a bundle for this machine")
    study.parser.add_argument("dataset", type=Path, help="a data set, as edgevid eval takes it")
    study.parser.add_argument("--videos", type=int, default=32, help="of each sample (32)")
    study.parser.add_argument("--protocol", default="bundle", help="as edgevid eval takes it (bundle)")
    study.run(lambda options: measure(study, options))


def measure(study: Study, options: argparse.Namespace) -> None:
    videos = list(itertools.islice(itertools.cycle(open_dataset(options.dataset).videos), options.videos))
    # What the classes are does not change the speed, so the videos may be of any data set.
    classes = [str(number) for number in range(Bundle.open(options.bundle).manifest.classes)]
    settings = {"a core for each stage": (1, 1), "every core for both": (options.threads, usable_threads())}
    candidates: dict[str, Callable[[], object]] = {}
    for setting, (threads, readers) in settings.items():
        request = Request(options.protocol, threads=threads, readers=readers)
        stages = Stages(Evaluation(options.bundle, classes, request), videos, readers)
        for stage in (stages.together, stages.reading, stages.inference):
            candidates[f"{setting}: {stage.__name__}"] = stage
    samples = interleave(candidates, options.rounds)
    per_video = {name: [each / options.videos for each in values] for name, values in samples.items()}
    study.add("ms_per_video", per_video, bound=BOUND)
    for setting in settings:
        report(setting, per_video)


def report(setting: str, samples: Samples) -> None:
    """Print each stage, and how much of the speed that is possible the evaluation reaches."""
    together, reading, inference = (
        samples[f"{setting}: {stage}"] for stage in ("together", "reading", "inference")
    )
    slower = [max(pair) for pair in zip(reading, inference)]
    both = [sum(pair) for pair in zip(reading, inference)]
    reached = paired_ratio(slower if setting.startswith("a core") else both, together)
    for name, values in (("evaluation", together), ("reading", reading), ("inference", inference)):
        print(f"{setting}: {name} {1e3 / sorted(values)[len(values) // 2]:.1f} videos/s")
    print(f"{setting}: {reached} of what the stages allow (bound: at least {BOUND})", flush=True)


class Stages:
    """One sample of each: all of ``videos``."""

    def __init__(self, evaluation: Evaluation, videos: list[LabelledVideo], readers: int) -> None:
        self._evaluation, self._videos, self._readers = evaluation, videos, readers
        with Readers(videos[:KEPT], evaluation.views, 1) as pieces:
            self._kept = [piece for piece in pieces if piece.kind is not Kind.UNREADABLE]

    def together(self) -> None:
        for _ in self._evaluation.run(self._videos):
            pass

    def reading(self) -> None:
        with Readers(self._videos, self._evaluation.views, self._readers) as pieces:
            for _ in pieces:
                pass

    def inference(self) -> None:
        evaluation = self._evaluation
        network = Network(evaluation.session, evaluation.protocol, evaluation.outputs)
        for piece in self._pieces():
            network.take(piece)

    def _pieces(self) -> Iterator[Piece]:
        """As many videos as are evaluated, though always the same few."""
        videos = 0
        for piece in itertools.cycle(self._kept):
            yield piece
            videos += piece.kind is Kind.END
            if videos == len(self._videos):
                return


if __name__ == "__main__":
    main()
