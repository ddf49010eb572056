"""Names that an export with ``--explain`` and ``edgevid explain`` share."""

from __future__ import annotations

EXPLAIN_MODEL = "model.explain.onnx"
"""The file of a bundle that returns the class activation maps next to the logits."""

MAPS = "class_activation_maps"
"""Its output: float32 ``(frames, classes, h, w)``, whose mean over frames and positions is the logit without
the classifier's bias."""
