"""Test protocols take the frames and crops that the code of other projects takes: figures by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevid.benchmarks.evaluation import crops
from edgevid.benchmarks.evaluation.protocols import NAMED, protocol_named
from edgevid.errors import UnknownNameError

TEN_OF_340X256 = [(0, 0), (116, 0), (0, 32), (116, 32), (58, 16)]


def indices(name: str, total: int, frames: int) -> list[list[int]]:
    return protocol_named(name, "segments").indices(total, frames).tolist()


@pytest.mark.parametrize("name", ["tsm-official", "mmaction2-tsm", "mmaction2-val", "uniform-1x1", "bundle"])
def test_one_uniform_clip_has_the_middles_of_segments(name):
    assert indices(name, 100, 8) == [[6, 18, 31, 43, 56, 68, 81, 93]]
    assert indices(name, 3, 8) == [[0, 0, 0, 1, 1, 2, 2, 2]]


@pytest.mark.parametrize("name", ["tsm-official-twice", "mmaction2-tsm-sthv2", "uniform-2x3-full"])
def test_two_uniform_clips_have_starts_and_middles(name):
    assert indices(name, 100, 8) == [[0, 12, 25, 37, 50, 62, 75, 87], [6, 18, 31, 43, 56, 68, 81, 93]]


@pytest.mark.parametrize("name", ["tsm-official-dense", "mmaction2-tsm-dense", "pptsm-dense", "dense-10x1"])
def test_ten_dense_clips_are_windows_of_64_frames(name):
    clips = indices(name, 100, 8)
    assert [clip[0] for clip in clips] == [0, 4, 8, 12, 16, 20, 24, 28, 32, 36]
    assert clips[9] == [36, 44, 52, 60, 68, 76, 84, 92]
    assert indices(name, 20, 8) == [[0, 8, 16, 4, 12, 0, 8, 16]] * 10, "a short video wraps around"


def test_clips_of_3d_networks_are_those_of_mmaction2():
    clips = indices("mmaction2-3d", 300, 32)
    assert [clip[0] for clip in clips] == [0, 26, 53, 79, 105, 132, 158, 184, 211, 237]
    assert clips[9] == list(range(237, 300, 2))
    assert indices("mmaction2-3d", 10, 4) == [[0, 6, 2, 8]] * 10


def test_segments_of_paddlevideo_are_of_whole_frames():
    assert indices("pptsm", 100, 8) == [[5, 17, 29, 41, 53, 65, 77, 89]]
    assert indices("pptsm", 15, 8) == [[0, 1, 2, 3, 4, 5, 6, 7]]
    assert indices("pptsm", 3, 8) == [[0, 1, 2, 0, 1, 2, 0, 1]]


@settings(max_examples=60)
@given(
    name=st.sampled_from([*NAMED, "bundle", "uniform-5x1", "dense-2x1"]),
    total=st.integers(1, 400),
    frames=st.integers(1, 32),
)
def test_every_protocol_stays_within_the_video(name, total, frames):
    protocol = protocol_named(name, "dense")
    chosen = protocol.indices(total, frames)
    assert chosen.shape == (protocol.clips, frames) and chosen.dtype == np.int64
    assert chosen.min() >= 0 and chosen.max() < total
    width, height = protocol.resize(340, 256, 256)
    windows = protocol.crops(width, height, 224)
    assert len(windows) == protocol.crop_count
    assert all(0 <= x <= width - 224 and 0 <= y <= height - 224 for x, y, _ in windows)


@pytest.mark.parametrize("name", ["tsm-offical", "dense", "uniform-0x1", "dense-10x4", "uniform-1x1-half"])
def test_an_unknown_protocol_is_refused_with_the_known_ones(name):
    with pytest.raises(UnknownNameError, match="use "):
        protocol_named(name, "segments")


def test_views_are_averaged_as_each_project_does():
    assert {name: protocol.average for name, protocol in NAMED.items()} == {
        name: "probabilities" if name.startswith("mmaction2") else "logits" for name in NAMED
    }


def test_sizes_are_rounded_as_each_project_does():
    assert crops.round_down(427, 240, 256) == (455, 256)
    assert crops.round_to_nearest(427, 240, 256) == (455, 256)
    assert crops.round_down(425, 240, 256) == (453, 256)
    assert crops.round_to_nearest(425, 240, 256) == (453, 256)
    assert crops.round_down(431, 240, 256) == (459, 256)
    assert crops.round_to_nearest(431, 240, 256) == (460, 256)
    assert crops.four_to_three(1920, 1080, 256) == (341, 256)
    assert crops.four_to_three(1080, 1920, 256) == (256, 341)
    assert crops.four_to_three(455, 256, 256) == (455, 256)


def test_crops_are_where_each_project_has_them():
    assert crops.center_crop(340, 256, 224) == [(58, 16, False)]
    assert crops.center_crop(341, 256, 224) == [(58, 16, False)]  # 58.5, rounded to even
    assert crops.center_crop_floored(343, 256, 224) == [(59, 16, False)]
    assert crops.three_crops_by_halves(343, 256, 256) == [(0, 0, False), (86, 0, False), (43, 0, False)]
    assert crops.three_crops_by_halves(256, 343, 256) == [(0, 0, False), (0, 86, False), (0, 43, False)]
    assert crops.three_crops_by_quarters(343, 256, 256) == [(0, 0, False), (84, 0, False), (42, 0, False)]
    assert crops.three_crops_by_quarters(256, 343, 256) == [(0, 42, False)] * 3
    assert crops.ten_crops(340, 256, 224) == [
        (*place, flip) for place in TEN_OF_340X256 for flip in (False, True)
    ]
