"""Is an export equal to eager PyTorch? The measure, and the data that lets a bundle ask again on a device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgevid.bundle import PARITY, Bundle
from edgevid.errors import BundleError
from edgevid.session import Session
from edgevid.specs import TOLERANCE, Artefact, Parity


def compare(got: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], tolerance: float) -> Parity:
    """The largest distance over all outputs; ``max_rel`` is max|a-b| / max|b| with b what is ``wanted``.

    A value that is not finite makes the distance infinite.
    """
    max_abs = max_rel = 0.0
    for name, reference in wanted.items():
        if name not in got or got[name].shape != reference.shape:
            return Parity(float("inf"), float("inf"), tolerance)
        if not (np.isfinite(got[name]).all() and np.isfinite(reference).all()):
            return Parity(float("inf"), float("inf"), tolerance)
        difference = float(np.abs(got[name].astype(np.float64) - reference).max())
        scale = float(np.abs(reference).max())
        relative = difference / scale if scale else (0.0 if difference == 0 else float("inf"))
        max_abs, max_rel = max(max_abs, difference), max(max_rel, relative)
    return Parity(max_abs, max_rel, tolerance)


def save(folder: Path, clip: np.ndarray, outputs: Mapping[str, np.ndarray]) -> None:
    """Write ``parity.npz``. The clip is kept as fp16, which must hold it exactly."""
    half = clip.astype(np.float16)
    assert np.array_equal(half.astype(np.float32), clip), "the example must be exact in fp16"
    np.savez_compressed(folder / PARITY, clip=half, **{f"output_{name}": a for name, a in outputs.items()})


def load(folder: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The clip ``(1, T, 3, H, W)`` and the eager outputs by name; a stream's are ``(T, ...)``."""
    try:
        with np.load(folder / PARITY) as data:
            outputs = {
                key.removeprefix("output_"): data[key] for key in data.files if key.startswith("output_")
            }
            return data["clip"].astype(np.float32), outputs
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise BundleError(f"'{folder / PARITY}' cannot be read ({error}): copy the bundle again") from None


def check_artefact(bundle: Bundle, artefact: Artefact, with_kernels: bool = False) -> Parity:
    """Run one model file of a bundle on its own example and compare with what the eager network gave.

    ``with_kernels`` runs it as a session here does; without, as a runtime that has no library of ours.
    """
    session = Session(bundle, artefact=artefact, with_kernels=with_kernels)
    clip, wanted = load(bundle.path)
    got = _run_stream(session, clip) if bundle.manifest.streaming else session.run(clip)
    return compare(got, wanted, TOLERANCE[artefact.precision])


def _run_stream(session: Session, clip: np.ndarray) -> dict[str, np.ndarray]:
    stream = session.stream()
    pushed = [stream.push(frame[None]) for frame in clip[0]]
    return {name: np.concatenate([outputs[name] for outputs in pushed]) for name in pushed[0]}
