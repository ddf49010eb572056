"""The curves of a training: as JSON, and as a picture where matplotlib is installed."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict

from edgevid.zoo.training.checkpoint import Epoch, Run


def curves_json(run: Run, epochs: Sequence[Epoch]) -> bytes:
    values = {**asdict(run), "epochs": [asdict(epoch) for epoch in epochs]}
    return json.dumps(values, indent=1).encode()


def draw_curves(run: Run, epochs: Sequence[Epoch]) -> dict[str, bytes]:
    """The files ``curves.svg`` and ``curves.png``; none without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return {}
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    losses, accuracies = figure.subplots(1, 2)
    numbers = [epoch.number for epoch in epochs]
    losses.plot(numbers, [epoch.loss for epoch in epochs], label="training")
    losses.plot(numbers, [epoch.test_loss for epoch in epochs], label="test")
    accuracies.plot(numbers, [100 * epoch.accuracy for epoch in epochs], label="training")
    accuracies.plot(numbers, [100 * epoch.test_accuracy for epoch in epochs], label="test")
    losses.set(title=f"{run.trained.model}, seed {run.seed}", xlabel="epoch", ylabel="loss", ylim=(0, None))
    accuracies.set(xlabel="epoch", ylabel="top-1 accuracy (%)", ylim=(0, 101))
    files = {}
    for axes in (losses, accuracies):
        axes.legend()
        axes.grid(alpha=0.3)
    for kind in ("svg", "png"):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind)
        files[f"curves.{kind}"] = buffer.getvalue()
    return files
