"""Threads of ONNX Runtime keep their cores busy between two runs only where nothing else needs them."""

from __future__ import annotations

import onnxruntime
import pytest

from edgevid.backends.onnxruntime.session_options import SHORT_SPIN_US, session_options

SPINNING, DURATION = "session.intra_op.allow_spinning", "session.intra_op.spin_duration_us"


def entry(options: onnxruntime.SessionOptions, key: str) -> str | None:
    try:
        return options.get_session_config_entry(key)
    except RuntimeError:  # it is not set
        return None


def test_alone_a_session_has_the_defaults():
    options = session_options(3)
    assert options.intra_op_num_threads == 3
    assert entry(options, SPINNING) is None and entry(options, DURATION) is None


@pytest.mark.parametrize(
    "version,spinning,duration",
    [
        ("1.20.1", "0", None),
        ("1.25.0", "0", None),
        ("1.26.0", None, str(SHORT_SPIN_US)),
        ("2.0.0", None, "20"),
    ],
)
def test_beside_a_decoder_threads_sleep_as_soon_as_the_version_can(monkeypatch, version, spinning, duration):
    monkeypatch.setattr(onnxruntime, "__version__", version)
    options = session_options(2, shares_cores=True)
    assert (entry(options, SPINNING), entry(options, DURATION)) == (spinning, duration)
