"""Detect packets that are only references for others and never shown, without decoding them."""

from __future__ import annotations

from collections.abc import Iterator

MIN_MPEG4_BYTES = 16
"""A smaller packet may say that the last frame stays, for which no frame comes out."""


def shown_frames(codec: str, packet: memoryview) -> int | None:
    """The number of frames that a packet with data yields; None if only decoding can show it."""
    if codec == "vp8":
        return packet[0] >> 4 & 1
    if codec == "vp9":
        return sum(_is_shown_vp9(header) for header in _vp9_headers(packet))
    if codec in ("mpeg4", "msmpeg4v3", "h263") and len(packet) < MIN_MPEG4_BYTES:
        return None
    return 1


def _vp9_headers(packet: memoryview) -> Iterator[int]:
    """The first byte of each frame; a superframe holds several, with their sizes at its end."""
    marker = packet[-1]
    count, size_bytes = (marker & 7) + 1, (marker >> 3 & 3) + 1
    index_bytes = 2 + count * size_bytes
    if marker & 0xE0 != 0xC0 or len(packet) < index_bytes or packet[-index_bytes] != marker:
        yield packet[0]
        return
    sizes, start = packet[1 - index_bytes : -1], 0
    for i in range(count):
        size = int.from_bytes(sizes[i * size_bytes : (i + 1) * size_bytes], "little")
        if size and start < len(packet):
            yield packet[start]
        start += size


def _is_shown_vp9(header: int) -> bool:
    """By ``show_existing_frame`` or ``show_frame``, which profile 3 has a bit later."""
    late = header & 0x30 == 0x30
    return bool(header >> (2 if late else 3) & 1 or header >> (0 if late else 1) & 1)
