"""Write the files that the runtimes open: ``python -m edgevid.benchmarks.experiments.peers.prepare``.

This process ends before anything is timed. The parent requests one file at a time, so that a failure affects
only the candidates that need the file.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from edgevid.benchmarks.experiments.peers.cases import Case
from edgevid.benchmarks.experiments.peers.worker_protocol import serve


def draw(folder: str, case: dict[str, Any], threads: int) -> dict[str, Any]:
    """Write the weights, the input and the eager output of each network of the case."""
    import numpy as np
    import torch

    from edgevid.benchmarks.experiments.peers import networks

    torch.set_num_threads(threads)
    case, folder = Case(**case), Path(folder)
    torch.save(networks.zoo_network(case, "tsn").state_dict(), folder / networks.WEIGHTS)
    shape = (1, case.frames, 3, case.size, case.size)
    clip = np.random.default_rng(case.seed).standard_normal(shape, dtype=np.float32)
    np.save(folder / "input.npy", clip)
    for network in case.networks:
        model = networks.ordinary_network(case, network, folder / networks.WEIGHTS)
        output = networks.eager_output(case, model, torch.from_numpy(clip))
        np.save(folder / f"{network}.expected.npy", output.numpy())
    return {"torch": torch.__version__}


def make(folder: str, case: dict[str, Any], network: str, kind: str, threads: int) -> dict[str, Any]:
    """Write one file of a network; ``kind`` is ``onnx``, ``pt2`` or ``bundle``."""
    WRITERS[kind](Path(folder), Case(**case), network, threads)
    return {"file": f"{network}.{kind}"}


def _onnx(folder: Path, case: Case, network: str, threads: int) -> None:
    import torch

    model, example = _ordinary(folder, case, network)
    states = range(len(example) - 1)
    torch.onnx.export(
        model,
        example,
        folder / f"{network}.onnx",
        input_names=["input", *(f"state_{index}" for index in states)],
        output_names=["logits", *(f"next_state_{index}" for index in states)],
        verbose=False,
    )


def _program(folder: Path, case: Case, network: str, threads: int) -> None:
    import torch

    model, example = _ordinary(folder, case, network)
    torch.export.save(torch.export.export(model, example), folder / f"{network}.pt2")


def _bundle(folder: Path, case: Case, network: str, threads: int) -> None:
    import edgevid
    from edgevid.benchmarks.experiments.peers.networks import WEIGHTS, zoo_network

    model, output = zoo_network(case, network, folder / WEIGHTS), folder / f"{network}.bundle"
    edgevid.export(model, output=output, frames=case.frames, size=case.size, stream=case.streaming)
    # Fill the cache that opening writes, so that doing so does not add to the measured peak memory.
    edgevid.open(output, threads=threads)


def _ordinary(folder: Path, case: Case, network: str) -> tuple[Any, tuple]:
    import numpy as np
    import torch

    from edgevid.benchmarks.experiments.peers.networks import WEIGHTS, example_of, ordinary_network

    model = ordinary_network(case, network, folder / WEIGHTS)
    return model, example_of(case, model, torch.from_numpy(np.load(folder / "input.npy")))


WRITERS = {"onnx": _onnx, "pt2": _program, "bundle": _bundle}

if __name__ == "__main__":
    sys.exit(serve({"draw": draw, "make": make}))
