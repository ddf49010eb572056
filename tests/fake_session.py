"""A network that tells dark from bright; ``python fake_session.py ARGUMENTS`` is ``edgevid`` with it.

There it streams if the bundle's name begins with "stream"; ``EDGEVID_TEST_DELAY_S`` makes it slow.
"""

from __future__ import annotations

import os
import time

import numpy as np

from edgevid.specs import Manifest, Parity, Preprocessing, TensorSpec, Weights

LABELS = ["dark", "bright", "never"]
CLIP, IMAGE = (1, 4, 3, 28, 28), ("N", 3, 28, 28)


class FakeSession:
    """A network that tells dark from bright by the mean of what it is shown."""

    delay_s = 0.0

    def __init__(self, streaming: bool = False, shape=CLIP, labels: list[str] | None = LABELS) -> None:
        self.labels = labels
        self.threads = 1
        self.shown: list[np.ndarray] = []
        self.manifest = Manifest(
            model="fake",
            target="cpu",
            backend="reference",
            precision="fp32",
            streaming=streaming,
            frames=4,
            classes=3,
            inputs=(TensorSpec("clip", shape),),
            outputs=(TensorSpec("logits", ("N", 3)),),
            states=(),
            preprocessing=Preprocessing(32, 28, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
            weights=Weights("trained.pth", 10, 40, sha256="ab"),
            macs=1,
            parity=Parity(0.0, 0.0, 1e-3),
            artefacts=(),
        )

    def run(self, clip: np.ndarray) -> dict[str, np.ndarray]:
        assert clip.dtype == np.float32
        self.shown.append(clip.copy())
        time.sleep(self.delay_s)
        mean = float(clip.mean())
        return {"logits": np.array([[-5 * mean, 5 * mean, -9]], np.float32)}

    def stream(self) -> FakeSession:
        return self

    def push(self, frame: np.ndarray) -> dict[str, np.ndarray]:
        assert frame.shape == (1, 3, 28, 28)
        return self.run(frame)


if __name__ == "__main__":
    import edgevid
    from edgevid.cli import console

    def open_fake(path: str, **_: object) -> FakeSession:
        session = FakeSession(streaming=path.startswith("stream"))
        session.delay_s = float(os.environ.get("EDGEVID_TEST_DELAY_S", "0"))
        return session

    vars(edgevid)["open"] = open_fake
    console()
