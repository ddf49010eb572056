"""Evaluate a bundle on a data set, here or on a Dask cluster, and continue where a killed run ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevid.benchmarks.evaluation.evaluate import Evaluation, Request
from edgevid.benchmarks.evaluation.journal import Journal, key_of
from edgevid.benchmarks.evaluation.records import Record, Skipped
from edgevid.benchmarks.evaluation.report import figures, remarks_on_order
from edgevid.video.datasets import Dataset, LabelledVideo

Progress = Callable[[int, float], None]
"""Called with the number of videos that are done, and the top-1 so far."""

RunVideos = Callable[[Evaluation, Iterable[LabelledVideo]], Iterator["Record | Skipped"]]


@dataclass
class Outcome:
    """``result`` is the JSON, ``records`` are in the order of the data set."""

    result: dict[str, Any]
    records: list[Record]


def evaluate(
    bundle: Path,
    dataset: Dataset,
    request: Request,
    journal_path: Path | None = None,
    resume: bool = False,
    run_videos: RunVideos = Evaluation.run,
    progress: Progress = lambda done, top1: None,
    session: Any = None,
) -> Outcome:
    """Evaluate the videos that the journal does not have; ``run_videos`` says by whom.

    With ``resume`` what the journal at ``journal_path`` has is not predicted again. Raises ``BenchmarkError``
    if the bundle does not fit the data set, or no video can be read.
    """
    start_s = time.monotonic()
    evaluation = Evaluation(bundle, dataset.classes, request, session)
    sha256 = evaluation.session.bundle.sha256
    journal = Journal(journal_path, key_of(sha256, dataset, request)) if journal_path else None
    labels = {video.name: video.label for video in dataset.videos}
    known = journal.records() if journal and resume else {}
    records = {name: record for name, record in known.items() if labels.get(name) == record.label}
    missing = [video for video in dataset.videos if video.name not in records]
    skipped: dict[str, Skipped] = {}
    right = sum(record.best[0] == record.label for record in records.values())
    for outcome in run_videos(evaluation, missing):
        if isinstance(outcome, Skipped):
            skipped[outcome.video] = outcome
        else:
            if journal:
                journal.add(outcome)
            records[outcome.video] = outcome
            right += outcome.best[0] == outcome.label
        progress(len(records) + len(skipped), right / max(1, len(records)))
    in_order = [records[name] for name in labels if name in records]
    result = {
        "bundle": str(bundle),
        "dataset": dataset.name,
        "split": dataset.split,
        "protocol": evaluation.protocol.name,
        "views": {
            "clips": evaluation.protocol.clips,
            "crops": evaluation.protocol.crop_count,
            "frames": evaluation.session.manifest.frames,
            "short_side": evaluation.views.short_side,
            "crop": evaluation.views.crop,
            "average": evaluation.protocol.average,
            "source": evaluation.protocol.source,
        },
        **figures(in_order, [skipped[name] for name in labels if name in skipped], dataset),
        "remarks": [*evaluation.remarks, *remarks_on_order(in_order, dataset, evaluation)],
        "resumed": len(labels) - len(missing),
        "bundle_sha256": sha256,
        "seconds": time.monotonic() - start_s,
    }
    return Outcome(result, in_order)
