"""Something-Something V1."""

from __future__ import annotations

from edgevid.video.datasets.twentybn import layout_of

LAYOUT = layout_of(
    "something-v1",
    "Something-Something V1: folders of frames",
    "something-something-v1",
    "20bn-something-something-v1",
)
