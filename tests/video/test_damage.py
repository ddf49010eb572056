"""What is damaged is counted; where recordings were joined, and where a connection ends, nothing is."""

from __future__ import annotations

import av
import numpy as np
import pytest
from servers import encode, http_server

from edgevid.errors import VideoError
from edgevid.video.address import Address
from edgevid.video.decode import read_frames

PACKET = 188
"""Bytes of a packet of MPEG-TS."""


@pytest.fixture(scope="module")
def transport(tmp_path_factory):
    return encode(tmp_path_factory.mktemp("transport") / "a.ts", format_name="mpegts").read_bytes()


def test_joined_recordings_are_whole(transport, tmp_path, caplog):
    path = tmp_path / "joined.ts"
    path.write_bytes(transport + transport)
    assert len(list(read_frames(path))) == 60
    assert not caplog.records


@pytest.mark.parametrize("joined", [False, True])
def test_a_lost_part_of_a_recording_is_told(transport, tmp_path, caplog, joined):
    path = tmp_path / "lost.ts"
    packets = [transport[i : i + PACKET] for i in range(0, len(transport), PACKET)]
    of_video = [i for i, packet in enumerate(packets) if packet[1:3] in (b"\x01\x00", b"\x41\x00")]
    del packets[of_video[len(of_video) // 2]]
    path.write_bytes(b"".join(packets) + joined * transport)
    list(read_frames(path))
    assert "is incomplete: damaged packets: 1," in caplog.text


@pytest.mark.parametrize(("way", "whole"), [("unsized", True), ("half", False)])
def test_a_connection_may_end_where_no_length_was_told(transport, caplog, way, whole):
    with http_server({"a.ts": transport}) as server:
        frames = list(read_frames(Address.parse(f"{server.url}/{way}/a.ts", 3)))
    assert len(frames) == 30
    assert ("incomplete" in caplog.text) is not whole


@pytest.mark.parametrize("way", ["whole", "unsized"])
def test_an_mp4_or_mov_whose_index_comes_last_needs_a_server_that_leads_back(tmp_path, way):
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("rawvideo", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "rgb24"
        for level in range(10):  # larger than what FFmpeg keeps of what it has read
            image = np.full((240, 320, 3), 20 * level, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        out.mux(stream.encode())
    with http_server({"a.mov": path.read_bytes()}) as server:
        with pytest.raises(VideoError, match=r"index first .*faststart.* or be saved to a local file$"):
            list(read_frames(Address.parse(f"{server.url}/{way}/a.mov", 3)))
        assert len(list(read_frames(Address.parse(f"{server.url}/ranges/a.mov", 3)))) == 10
