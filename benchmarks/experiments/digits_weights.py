"""Write the weights that come with edgevid, from the networks that the experiment ``digits`` trained.

``python -m edgevid.benchmarks.experiments.digits_weights digits-study [-o FOLDER]``

Matrices are stored in half precision, all else as it was trained. Each network is tested with both on the
test videos, and none is written if one loses more than ``LOSS`` of its accuracy.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate

from edgevid.benchmarks.experiments.digits import NETWORKS, eager, predictions
from edgevid.errors import BenchmarkError, EdgevidError
from edgevid.host.files import atomic_write
from edgevid.video.datasets import Dataset, open_dataset
from edgevid.zoo.shipped import FOLDER, file_name
from edgevid.zoo.training.checkpoint import KEPT, load_network
from edgevid.zoo.training.trained import KEY

LOSS = 0.005
MOST_BYTES = 20_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, help="the output of the experiment digits")
    parser.add_argument("-o", "--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    try:
        rows, files = [], {}
        test = open_dataset(options.study / "digits", "test")
        for name in NETWORKS:
            if not (path := options.study / name / KEPT).exists():
                print(f"{name} was not trained: left out")
                continue
            row, files[file_name(name, "digits")] = halved(path, test)
            rows.append(row)
        if (size := sum(map(len, files.values()))) > MOST_BYTES:
            raise BenchmarkError(f"the files have {size / 1e6:.1f} MB: more than {MOST_BYTES / 1e6:.0f} MB")
    except EdgevidError as error:
        parser.exit(2, f"error: {error}\n")
    options.output.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        atomic_write(options.output / name, data)
    print(tabulate(rows, headers="keys"))


def halved(path: Path, test: Dataset) -> tuple[dict[str, Any], bytes]:
    """A network's row of the table, and its file; ``BenchmarkError`` if it is less accurate."""
    network, trained = load_network(path)
    state = half_matrices(network.state_dict())
    small, _ = load_network(path)
    small.load_state_dict(state)
    candidates = {"trained": eager(network), "written": eager(small)}
    predicted = predictions(candidates, test, trained.frames, trained.preprocessing)
    labels = np.array([video.label for video in test.videos])
    top1 = {key: float((values == labels).mean()) for key, values in predicted.items()}
    if top1["trained"] - top1["written"] > LOSS:
        raise BenchmarkError(
            f"'{path}' falls from {top1['trained']:.1%} to {top1['written']:.1%} when halved"
        )
    buffer = io.BytesIO()
    torch.save({"state_dict": state, KEY: trained.as_json()}, buffer)
    data = buffer.getvalue()
    return {
        "network": trained.model,
        "MB": f"{len(data) / 1e6:.2f}",
        **{f"{key} top-1": f"{share:.1%}" for key, share in top1.items()},
    }, data


def half_matrices(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Batch norms, whose variances are small, and biases stay in single precision."""
    return {
        name: tensor.half() if tensor.is_floating_point() and tensor.dim() > 1 else tensor
        for name, tensor in state.items()
    }


if __name__ == "__main__":
    main()
