"""A TVM bundle's time compared with ONNX Runtime's, on the same weights and clip.

``python -m edgevid.benchmarks.experiments.tvm [--model tsm_mbv2] [--rounds 15] [--json FILE]``

Three candidates are interleaved: the TVM library, an ordinary export (shifts as concatenations) in plain ONNX
Runtime, and edgevid's ONNX Runtime bundle with its kernels. All must return the same logits, which is checked
first.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from edgevid.benchmarks.experiments.peers.networks import ConcatenatedShift
from edgevid.benchmarks.experiments.sessions import open_session
from edgevid.benchmarks.experiments.study import Study, describe, interleave, require_equal
from edgevid.zoo.layers.shift import TemporalShift

TVM, ORDINARY, EDGEVID = "tvm", "plain ONNX Runtime", "edgevid onnxruntime"
BOUNDS = {"tsm_mbv2": 4.0}
"""The upper bound on the ratio of TVM's time to plain ONNX Runtime's."""
TOLERANCE = 1e-4
REST_S = 0.1
"""Between two runs, as TVM's threads spin for tens of ms after one."""


def main() -> None:
    study = Study(__doc__.splitlines()[0], rounds=15, size=True)
    study.parser.add_argument(
        "--model", default="tsm_mbv2", help="a network whose only temporal op is the shift"
    )
    study.run(lambda options: compare(study, options))


def compare(study: Study, options: argparse.Namespace) -> None:
    samples = measure(options.model, options.rounds, options.threads, options.size)
    bound = (
        f" (bound: TVM at most {BOUNDS[options.model]:g} times {ORDINARY})" if options.model in BOUNDS else ""
    )
    print(f"{options.model}: {describe(samples)}{bound}")
    study.add(options.model, samples)


def measure(name: str, rounds: int, threads: int, size: int | None = None) -> dict[str, list[float]]:
    """Milliseconds of each run of all three; ``BenchmarkError`` if their outputs differ."""
    import edgevid

    torch.manual_seed(0)
    network = edgevid.create_model(name).eval()
    spec = network.edgevid_spec
    side = size or spec.size
    clip = torch.randn(1, spec.frames, spec.channels, side, side)
    with tempfile.TemporaryDirectory() as work:
        ordinary = Path(work) / "ordinary.onnx"
        sessions = {
            TVM: _session(network, "tvm", Path(work), spec.frames, side, threads),
            EDGEVID: _session(network, "onnxruntime", Path(work), spec.frames, side, threads),
        }
        _write_ordinary(network, clip, ordinary)
        plain_session = open_session(ordinary, threads)
        inputs = {plain_session.get_inputs()[0].name: clip.numpy()}
        expected = plain_session.run(None, inputs)
        for backend, session in sessions.items():
            result = list(session.run(clip.numpy()).values())
            require_equal(f"{name} with {backend}", result, ORDINARY, expected, TOLERANCE)
        runs = {
            TVM: sessions[TVM].prepare(clip.numpy()),
            ORDINARY: lambda: plain_session.run(None, inputs),
            EDGEVID: sessions[EDGEVID].prepare(clip.numpy()),
        }
        return interleave(runs, rounds, REST_S)


def _session(network, backend: str, work: Path, frames: int, size: int, threads: int):
    import edgevid

    bundle = edgevid.export(network, backend=backend, output=work / backend, frames=frames, size=size)
    return edgevid.open(bundle.path, threads=threads)


def _write_ordinary(network: torch.nn.Module, clip: torch.Tensor, path: Path) -> None:
    """Export ``network`` with shifts as concatenations, as other code writes them; modifies ``network``."""
    for name, module in list(network.named_modules()):
        if isinstance(module, TemporalShift):
            network.set_submodule(name, ConcatenatedShift())
    with torch.no_grad():
        torch.onnx.export(network, (clip,), path, verbose=False)


if __name__ == "__main__":
    main()
