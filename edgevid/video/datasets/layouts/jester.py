"""Jester."""

from __future__ import annotations

from edgevid.video.datasets.twentybn import layout_of

LAYOUT = layout_of("jester", "Jester V1: folders of frames", "jester-v1", "20bn-jester-v1")
