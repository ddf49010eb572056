"""The files of an explanation: a video, pictures, arrays and the confidence over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgevid.specs import Preprocessing
from edgevid.video.encode import write_h264
from edgevid.video.explain.drawing import mosaic, panel, sheet, strengths
from edgevid.video.explain.explanation import Explanation
from edgevid.video.predictions import title

MAX_PICTURES = 16
"""Pictures of single frames; of more frames they are evenly spaced."""


def write_pictures(
    folder: Path,
    explanation: Explanation,
    frames: Iterable[np.ndarray],
    preprocessing: Preprocessing,
    labels: Sequence[str] | None,
    frame_rate: float,
) -> None:
    """``explain.mp4``, ``frames.png`` and ``frames/NUMBER.png``; ``frames`` are the network's inputs."""
    (folder / "frames").mkdir()
    count = len(explanation.maps)
    chosen = {int(i) for i in np.linspace(0, count - 1, min(count, MAX_PICTURES)).round()}
    pictures: list[np.ndarray] = []

    def panels() -> Iterator[np.ndarray]:
        heat = strengths(explanation.maps)
        for number, data in zip(range(count), frames):
            shown = int(explanation.classes[number])
            probability = explanation.probabilities[number, shown]
            name = title(shown, None if labels is None else labels[shown])
            caption = f"{explanation.times_s[number]:6.2f} s   {name}   {probability:.1%}"
            picture = panel(data, heat[number], caption, preprocessing)
            if number in chosen:
                pictures.append(picture)
                file = f"{int(explanation.indices[number]):06d}.png"
                Image.fromarray(picture).save(folder / "frames" / file)
            yield picture

    write_h264(folder / "explain.mp4", panels(), max(1, round(frame_rate)))
    Image.fromarray(sheet(pictures)).save(folder / "frames.png")


def write_arrays(folder: Path, explanation: Explanation) -> None:
    """``maps.npz`` with the fields of the explanation, the maps as they are: not scaled, negative too."""
    np.savez_compressed(folder / "maps.npz", **vars(explanation))


def write_features(folder: Path, features: dict[str, np.ndarray]) -> None:
    """``features/LAYER.npz`` and a picture of the most active channels of each layer."""
    (folder / "features").mkdir()
    for layer, maps in features.items():
        np.savez_compressed(folder / "features" / f"{layer}.npz", features=maps)
        Image.fromarray(mosaic(maps)).save(folder / "features" / f"{layer}.png")


def confidence_of(explanation: Explanation, labels: Sequence[str] | None, top: int) -> dict[str, Any]:
    """The probability over time of the classes with the highest peaks, for JSON and for the chart."""
    best = np.argsort(-explanation.probabilities.max(axis=0), kind="stable")[:top]
    return {
        "time_s": [round(float(time_s), 4) for time_s in explanation.times_s],
        "classes": [
            {
                "index": int(index),
                "label": None if labels is None else labels[index],
                "probability": [round(float(p), 5) for p in explanation.probabilities[:, index]],
            }
            for index in best
        ],
    }


def draw_confidence(folder: Path, confidence: dict[str, Any], heading: str) -> bool:
    """``confidence.svg`` and ``confidence.png``; False without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return False
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for entry in confidence["classes"]:
        name = title(entry["index"], entry["label"])
        axes.plot(
            confidence["time_s"], [100 * p for p in entry["probability"]], label=name.replace("$", r"\$")
        )
    axes.set(title=heading.replace("$", r"\$"), xlabel="time (s)", ylabel="probability (%)", ylim=(0, 101))
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    for kind in ("svg", "png"):
        figure.savefig(folder / f"confidence.{kind}")
    return True
