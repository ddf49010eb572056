"""The speedup of edgevid's export over an ordinary one of the same network and weights.

``python -m edgevid.benchmarks.experiments.ordinary_exports [--models stm_r50 action_r50 slowfast_r50_8x8]
[--json FILE]``

The ordinary export is the network as other code writes it, in standard PyTorch layers
(``networks_official``, ``networks_3d``), exported by ``torch.onnx.export`` and run by plain ONNX Runtime.
Both must return the same logits, which is checked, and are timed interleaved.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgevid.backends.onnxruntime.specialize import pipeline
from edgevid.benchmarks.experiments.networks_3d import official_resnet3d, official_slowfast
from edgevid.benchmarks.experiments.networks_official import official_action_r50, official_stm_r50
from edgevid.benchmarks.experiments.sessions import REST_S, open_session, session
from edgevid.benchmarks.experiments.study import Study, describe, interleave, require_equal

ORDINARY: dict[str, Callable[[nn.Module], nn.Module]] = {
    "stm_r50": official_stm_r50,
    "action_r50": official_action_r50,
    "slowfast_r50_8x8": official_slowfast,
    "slow_r50": official_resnet3d,
    "i3d_r50": official_resnet3d,
}
BOUNDS = {"stm_r50": 0.80, "action_r50": 0.80, "slowfast_r50_8x8": 0.95}
"""The upper bound on the ratio of the times."""
TOLERANCE = 1e-4


def main() -> None:
    study = Study(__doc__.splitlines()[0], rounds=11, size=True)
    study.parser.add_argument("--models", nargs="*", choices=ORDINARY, default=list(BOUNDS))
    study.run(lambda options: measure_all(study, options))


def measure_all(study: Study, options: argparse.Namespace) -> None:
    for name in options.models:
        samples = measure(name, options.rounds, options.threads, options.size)
        bound = f" (bound: at most {BOUNDS[name]})" if name in BOUNDS else ""
        print(f"{name}: {describe(samples)}{bound}", flush=True)
        study.add(name, samples)


def measure(name: str, rounds: int, threads: int, size: int | None = None) -> dict[str, list[float]]:
    """Milliseconds of each run of both; ``BenchmarkError`` if their outputs differ."""
    import edgevid

    torch.manual_seed(0)
    network = edgevid.create_model(name).eval()
    spec = network.edgevid_spec
    side = size or spec.size
    clip = torch.randn(1, spec.frames, 3, side, side)
    with tempfile.TemporaryDirectory() as work:
        bundle = edgevid.export(network, output=Path(work) / name, frames=spec.frames, size=side)
        specialized = pipeline.specialize(
            bundle.path / bundle.manifest.model_file, Path(work) / "cache", threads
        )
        ordinary = Path(work) / "ordinary.onnx"
        with torch.no_grad():
            torch.onnx.export(ORDINARY[name](network).eval(), (clip,), ordinary, verbose=False)
        _check(name, clip.numpy(), specialized, ordinary)
        runs = {
            "edgevid": session(specialized.path, threads, specialized.configure),
            "ordinary": session(ordinary, threads),
        }
        return interleave(runs, rounds, REST_S)


def _check(name: str, clip: np.ndarray, specialized: pipeline.SpecializedModel, ordinary: Path) -> None:
    outputs = []
    for path, configure in ((specialized.path, specialized.configure), (ordinary, lambda options: None)):
        runtime = open_session(path, None, configure)
        outputs.append(runtime.run(None, {runtime.get_inputs()[0].name: clip}))
    require_equal(f"{name} by edgevid", outputs[0], "the ordinary export", outputs[1], TOLERANCE)


if __name__ == "__main__":
    main()
