"""A clip has the requested frames, whatever the state of the file."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from edgevid.errors import UnknownNameError
from edgevid.specs import Preprocessing
from edgevid.video import pick
from edgevid.video.clips import load_clip
from edgevid.video.decode import read_frames
from edgevid.video.frame import Picture, to_rgb
from edgevid.video.pick import pick_frames
from edgevid.video.stopwatch import Stopwatch
from edgevid.video.transforms import Preprocess

SMALL = Preprocessing(short_side=32, crop=28)


def collect(path, indices) -> tuple[dict[int, np.ndarray], int]:
    images: dict[int, np.ndarray] = {}

    def keep(i: int, picture: Picture) -> None:
        images[i] = to_rgb(picture)

    timeline = pick_frames(path, lambda total: [i for i in indices if i < total], keep)
    return images, timeline.frames


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
@pytest.mark.parametrize("indices", [[0], [30], [5, 6, 20, 29], [13, 12, 11], range(31)])
def test_picked_frames_are_those_of_a_full_decode(write_video, which, name, indices):
    path = write_video(name=name, frames=31, keyframe_every=7)
    images, total = collect(path, indices)
    assert total == 31
    assert sorted(images) == sorted(indices)
    every = [f.image for f in read_frames(path)]
    for i, image in images.items():
        assert which(image) == i
        np.testing.assert_array_equal(image, every[i])


def test_picking_survives_reordered_frames_and_open_groups(write_video, which):
    options = {"x264-params": "open-gop=1:bframes=3:scenecut=0"}
    path = write_video(frames=31, keyframe_every=7, options=options)
    images, _ = collect(path, [6, 7, 8, 20, 21, 30])
    assert {i: which(image) for i, image in images.items()} == {i: i for i in images}


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_groups_without_a_selected_frame_are_not_decoded(write_video, decoded, name):
    path = write_video(name=name, frames=31, keyframe_every=5)
    collect(path, [2, 27])
    assert 0 < len(decoded) <= 6


def test_a_variable_frame_rate_is_sampled_by_frame(write_video, which):
    times_ms = [0, 10, 20, 1000, 1010, 5000, 5010, 5020]
    images, total = collect(write_video(frames=8, times_ms=times_ms), range(8))
    assert total == 8
    assert [which(images[i]) for i in range(8)] == list(range(8))


@pytest.mark.parametrize("threads, others", [(0, 1), (1, 0)])
def test_one_thread_means_the_callers(write_video, which, threads, others):
    path, before, counts, images = write_video(frames=8), threading.active_count(), set(), {}

    def keep(i: int, picture: Picture) -> None:
        images[i] = which(picture)
        counts.add(threading.active_count() - before)

    pick_frames(path, range, keep, threads=threads)
    assert images == {i: i for i in range(8)} and max(counts) == others


def test_a_trimmed_file_is_only_what_was_left_of_it(write_video, trim, which, caplog):
    path = write_video(frames=36, fps=12)
    trim(path, first_frame=6, duration_ms=2000)
    totals: list[int] = []

    def choose(total: int) -> list[int]:
        totals.append(total)
        return [0, total - 1]

    images: dict[int, int] = {}
    assert pick_frames(path, choose, lambda i, image: images.update({i: which(image)})).frames == 24
    assert images == {0: 6, 23: 29}
    assert totals == [24]
    assert not caplog.records


# Which frames `ffmpeg -i FILE -fps_mode passthrough` (5.1) shows of 31, by the edit list.
EDITS = {
    "its beginning": ([(2000, 6)], range(6, 30)),
    "its end": ([(1000, 0)], range(12)),
    "its middle": ([(500, 13)], range(13, 19)),
    "two parts": ([(500, 2), (1000, 15)], [*range(2, 8), *range(15, 27)]),
    "a part after a delay": ([(500, -1), (1000, 0)], range(12)),
    "all after a delay": ([(500, -1), (2583, 0)], range(31)),
    "one frame": ([(83, 10)], [10]),
    "a part twice": ([(500, 0), (500, 0)], [*range(6), *range(6)]),
    "more than there is": ([(5000, 10)], range(10, 31)),
}


@pytest.mark.parametrize("what", EDITS)
@pytest.mark.parametrize("bframes", [0, 2])
def test_an_edited_file_is_what_ffmpeg_shows_and_whole(write_video, edit, which, caplog, what, bframes):
    edits, expected = EDITS[what]
    options = {"x264-params": f"bframes={bframes}:b-adapt=0"}
    path = write_video(frames=31, fps=12, options=options, faststart=False)
    edit(path, edits)
    assert [which(frame.image) for frame in read_frames(path)] == list(expected)
    images: dict[int, int] = {}
    timeline = pick_frames(path, range, lambda i, image: images.update({i: which(image)}))
    assert list(images.values()) == list(expected)
    assert timeline.frames == len(expected)
    assert not caplog.records


@pytest.mark.parametrize("name", ["late.mkv", "late.mp4", "late.ts"])
def test_a_file_that_starts_late_is_not_incomplete(write_video, caplog, name):
    path = write_video(name=name, frames=12, times_ms=[5000 + 83 * i for i in range(12)])
    assert len(list(read_frames(path))) == 12
    assert not caplog.records


def test_an_edited_file_that_is_cut_is_incomplete(write_video, edit, caplog):
    rng = np.random.default_rng(0)
    images = list(rng.integers(0, 256, (36, 48, 64, 3), dtype=np.uint8))
    path = write_video(images=images)  # its index comes first
    edit(path, [(2500, 6)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    list(read_frames(path))
    assert "incomplete" in caplog.text


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv", "cut.avi"])
def test_a_cut_file_is_sampled_over_what_is_left(write_video, caplog, name):
    rng = np.random.default_rng(0)
    path = write_video(name=name, images=list(rng.integers(0, 256, (36, 48, 64, 3), dtype=np.uint8)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    clip = load_clip(path, SMALL, frames=4)
    left = list(read_frames(path))
    assert clip.total_frames == len(left)
    assert clip.indices.max() > len(left) // 2
    transform = Preprocess(SMALL)
    np.testing.assert_array_equal(clip.data[0], [transform(left[i].image) for i in clip.indices[0]])
    assert len(caplog.records) == 2  # one for the clip, one for the full decode of this test


def test_fewer_frames_than_were_counted_are_sampled_again(write_video, monkeypatch, which):
    path = write_video(name="a.mkv", frames=20)
    monkeypatch.setattr(pick, "_index", lambda _: pick._Index(total=40))
    totals: list[int] = []

    def choose(total: int) -> list[int]:
        totals.append(total)
        return [0, total - 1]

    images: dict[int, int] = {}
    assert pick_frames(path, choose, lambda i, image: images.update({i: which(image)})).frames == 20
    assert totals == [40, 20]
    assert images == {0: 0, 19: 19}


def test_a_wrong_packet_index_is_noticed_and_everything_is_decoded(write_video, monkeypatch, which):
    path = write_video(frames=20)
    real = pick._index(path)
    real.stamps = [stamp + 1 for stamp in real.stamps]
    monkeypatch.setattr(pick, "_index", lambda _: real)
    images, total = collect(path, [3, 19])
    assert (total, {i: which(image) for i, image in images.items()}) == (20, {3: 3, 19: 19})


def test_a_clip_has_the_shape_that_networks_take(write_video):
    watch = Stopwatch()
    clip = load_clip(write_video(frames=24), SMALL, frames=8, watch=watch)
    assert clip.data.shape == (1, 8, 3, 28, 28) and clip.data.dtype == np.float32
    assert clip.indices.tolist() == [[1, 4, 7, 10, 13, 16, 19, 22]]
    assert clip.total_frames == 24
    assert watch.ms["decoding"] > 0 and watch.ms["preprocessing"] > 0


def test_a_video_shorter_than_a_clip_repeats_its_frames(write_video):
    clip = load_clip(write_video(frames=3), SMALL, frames=8)
    assert clip.indices.tolist() == [[0, 0, 0, 1, 1, 2, 2, 2]]
    np.testing.assert_array_equal(clip.data[0, 0], clip.data[0, 2])
    assert not np.array_equal(clip.data[0, 2], clip.data[0, 3])


def test_a_video_of_one_frame_makes_a_clip(write_video):
    clip = load_clip(write_video(frames=1), SMALL, frames=8)
    assert (clip.data == clip.data[:, :1]).all()


def test_dense_sampling_can_give_several_clips(write_video):
    clip = load_clip(write_video(frames=80), SMALL, frames=8, sampling="dense", clips=3)
    assert clip.data.shape == (3, 8, 3, 28, 28)
    assert clip.indices[:, 0].tolist() == [0, 8, 16]


def test_the_manifest_says_how_to_sample(write_video):
    dense = Preprocessing(short_side=32, crop=28, sampling="dense")
    assert load_clip(write_video(frames=64), dense, frames=8).indices[0, 1] == 8


def test_an_unknown_sampling_is_refused(write_video):
    with pytest.raises(UnknownNameError, match="unknown sampling 'random': choose one of segments, dense"):
        load_clip(write_video(), SMALL, frames=8, sampling="random")
