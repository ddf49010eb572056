"""What the reference evaluator refuses; ``test_every_model`` runs every network of the zoo in it."""

from __future__ import annotations

import pytest


def test_an_invalid_model_file_is_refused_with_a_remedy(tmp_path):
    from edgevid.backends import BACKENDS
    from edgevid.backends.reference.backend import MODEL
    from edgevid.errors import BackendError

    (tmp_path / MODEL.file).write_bytes(b"not a model")
    with pytest.raises(BackendError, match=r"ONNX cannot open .* Export again"):
        BACKENDS["reference"].open_model(MODEL, tmp_path)
