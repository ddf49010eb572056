"""Checkpoints released by TSM's authors: TSN, TSM, and the online demo.

Source: github.com/mit-han-lab/temporal-shift-module, ``ops/models.py`` (``base_model``, ``new_fc``),
``ops/temporal_shift.py`` (``net`` wraps layers that are shifted, or pooled over time) and
``ops/non_local.py`` (``block`` and ``nl`` where a non-local block follows a block).
"""

from __future__ import annotations

from edgevid.weights.formats import Format

RELEASE = Format(
    "TSM",
    (
        (r"^base_model\.", "backbone."),
        (r"^new_fc\.", "classifier."),
        (r"(\.layer\d\.\d+)\.block\.", r"\1."),
        (r"\.nl\.", ".non_local."),
        (r"\.W\.0\.", ".out."),
        (r"\.W\.1\.", ".bn."),
        (r"\.(g|phi)\.0\.", r".\1."),
    ),
)

ONLINE_DEMO = Format("the online TSM demo", ((r"^features\.", "backbone.features."),))
