"""Run a model file of a bundle on the bundle's own example, and compare with the eager network's outputs."""

from __future__ import annotations

import numpy as np

from edgevid import parity
from edgevid.bundle.bundle import Bundle
from edgevid.session import Session
from edgevid.specs import TOLERANCE, Artefact, Parity


def check_artefact(bundle: Bundle, artefact: Artefact, with_kernels: bool = False) -> Parity:
    """Run one model file of a bundle on its own example and compare with what the eager network gave.

    ``with_kernels`` runs it as a session here does; without, as a runtime that has no library of ours.
    """
    session = Session(bundle, artefact=artefact, with_kernels=with_kernels)
    clip, expected = parity.load(bundle.path)
    return parity.compare(run_clip(session, clip), expected, TOLERANCE[artefact.precision])


def run_clip(session: Session, clip: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs by name for a clip ``(1, T, 3, H, W)``; a stream's have a row for each frame."""
    if not session.manifest.streaming:
        return session.run(clip)
    stream = session.stream()
    pushed = [stream.push(frame[None]) for frame in clip[0]]
    return parity.joined(pushed, pushed[0])
