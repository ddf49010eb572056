"""A package of someone else's, which adds one of each kind to edgevid. Importing it imports nothing heavy."""

from __future__ import annotations

from importlib.resources import files

from edgevid.backends.protocol import Backend
from edgevid.specs import Availability, ModelSpec

BACKEND = Backend("acme", "ONNX's reference evaluator", "acme.backend", ("fp32",))

MODELS = [
    ModelSpec(
        "acme_tiny", "One convolution", "acme.network:build", "nobody", frames=2, size=16, smallest=(2, 16),
    )
]  # fmt: skip

TARGET = files("acme") / "acme-board.toml"


class Meter:
    name, title = "acme-meter", "A meter that shows 2.5 W"

    def available(self) -> Availability:
        return Availability(True, "2.5 W")

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def fields(self) -> dict[str, float]:
        return {"power_w": 2.5}


PROBE = Meter()
