"""Frames that are decoded for the sake of others are neither counted nor sampled."""

from __future__ import annotations

import av
import pytest

from edgevid.specs import Preprocessing
from edgevid.video import pick
from edgevid.video.clips import load_clip
from edgevid.video.decode import read_frames
from edgevid.video.hidden import shown_frames
from edgevid.video.pick import pick_frames

SMALL = Preprocessing(short_side=32, crop=28)


def hide(source, target, hidden) -> None:
    """Copy a VP8 video with the packets of these numbers marked as hidden."""
    with av.open(str(source)) as container, av.open(str(target), "w") as out:
        stream = container.streams.video[0]
        if hasattr(out, "add_stream_from_template"):
            copied = out.add_stream_from_template(stream)
        else:  # PyAV 14.1
            copied = out.add_stream(template=stream)
        for number, packet in enumerate(p for p in container.demux(stream) if p.size):
            data = bytearray(bytes(packet))
            if number in hidden:
                assert data[0] & 1, "a key frame is always shown"
                data[0] &= ~0x10
            changed = av.Packet(bytes(data))
            changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
            changed.duration, changed.is_keyframe = packet.duration, packet.is_keyframe
            changed.stream = copied
            out.mux(changed)


@pytest.mark.parametrize("name", ["v.webm", "v.mkv"])
def test_hidden_frames_of_vp8_are_neither_counted_nor_sampled(write_video, tmp_path, which, decoded, name):
    hidden = {4, 13, 22}
    path = tmp_path / f"hidden-{name}"
    hide(write_video(name=name, codec="libvpx", frames=30, keyframe_every=10), path, hidden)
    shown = [i for i in range(30) if i not in hidden]
    assert [which(frame.image) for frame in read_frames(path)] == shown

    kept: dict[int, int] = {}
    timeline = pick_frames(
        path, lambda total: [3, total - 1], lambda i, image: kept.update({i: which(image)})
    )
    assert timeline.frames == 27
    assert kept == {3: 3, 26: 29}
    assert 0 < len(decoded) < 20  # by seeking, not by decoding all
    clip = load_clip(path, SMALL, frames=9)
    assert clip.total_frames == 27
    assert clip.indices.tolist() == [[1, 4, 7, 10, 13, 16, 19, 22, 25]]


def test_counting_packets_would_be_found_out(write_video, tmp_path, monkeypatch, which):
    path = tmp_path / "hidden.webm"
    hide(write_video(name="v.webm", codec="libvpx", frames=30, keyframe_every=10), path, {4, 13, 22})
    monkeypatch.setattr(pick, "shown_frames", lambda codec, packet: 1)
    kept: dict[int, int] = {}

    def keep(i, image):
        kept[i] = which(image)

    assert pick_frames(path, lambda total: [20], keep).frames == 30
    assert kept.pop(20) == 20  # of the frames that are shown, that is number 18
    # Where a hidden packet is passed on the way, no frame comes out of it, and all are counted.
    assert pick_frames(path, lambda total: [min(total - 1, 25)], keep).frames == 27
    assert kept[25] == 28


SHOWN, HIDDEN = bytes([0b10_00_0_1_1_0]) + bytes(299), bytes([0b10_00_0_1_0_0]) + bytes(20)


def superframe(*frames: bytes, size_bytes: int) -> bytes:
    """Frames of VP9 in one packet, with the index at its end, as an encoder packs its hidden frames."""
    marker = bytes([0xC0 | (size_bytes - 1) << 3 | len(frames) - 1])
    sizes = b"".join(len(frame).to_bytes(size_bytes, "little") for frame in frames)
    return b"".join(frames) + marker + sizes + marker


@pytest.mark.parametrize("size_bytes", [2, 4])
@pytest.mark.parametrize(
    "frames,shown", [((HIDDEN, SHOWN), 1), ((HIDDEN, HIDDEN, SHOWN), 1), ((HIDDEN,), 0), ((SHOWN, SHOWN), 2)]
)
def test_the_frames_of_a_superframe_of_vp9_are_looked_at_one_by_one(frames, shown, size_bytes):
    assert shown_frames("vp9", memoryview(superframe(*frames, size_bytes=size_bytes))) == shown


def test_a_damaged_superframe_is_looked_at_without_failing():
    packet = superframe(HIDDEN, SHOWN, size_bytes=2)
    for start in range(len(packet) - 1):
        shown_frames("vp9", memoryview(packet[start:]))


@pytest.mark.parametrize(
    "header,shown",
    [
        (0b10_00_0_0_1_0, 1),  # a key frame that is shown
        (0b10_00_0_1_0_0, 0),
        (0b10_00_1_0_0_0, 1),  # an existing frame that is shown
        (0b10_11_0_0_0_1, 1),  # profile 3 has a reserved bit
        (0b10_11_0_0_1_0, 0),
    ],
)
def test_the_header_of_vp9_says_whether_a_frame_is_shown(header, shown):
    assert shown_frames("vp9", memoryview(bytes([header, 0, 0, 0]))) == shown


def test_a_frame_that_stays_in_mpeg4_is_left_to_decoding():
    assert shown_frames("mpeg4", memoryview(bytes(7))) is None
    assert shown_frames("mpeg4", memoryview(bytes(70))) == 1
    assert shown_frames("h264", memoryview(bytes(7))) == 1


def test_frames_that_do_not_come_out_as_their_packets_promise_are_counted_by_decoding(
    write_video, which, monkeypatch
):
    """Any codec may hide a frame that its packets do not reveal."""
    path = write_video(name="v.mkv", frames=30, keyframe_every=10)
    from_here = pick._frames_from_here

    def without_one(container, stream):
        for frame in from_here(container, stream):
            if which(frame.to_ndarray(format="rgb24")) != 12:
                yield frame

    monkeypatch.setattr(pick, "_frames_from_here", without_one)
    whole = 0
    decoded_frames = pick.decoded_frames

    def counted(*arguments, **options):
        nonlocal whole
        whole += 1
        return decoded_frames(*arguments, **options)

    monkeypatch.setattr(pick, "decoded_frames", counted)
    kept: dict[int, int] = {}
    pick_frames(path, lambda total: [5, 15], lambda i, image: kept.update({i: which(image)}))
    assert kept == {5: 5, 15: 15}
    assert whole == 1
