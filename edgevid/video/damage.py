"""How many packets of a stream are damaged, apart from those where two recordings were joined."""

from __future__ import annotations

from collections import deque

import av

from edgevid.video.timestamps import MAX_DISORDER_S, MAX_GAP_S

BEFORE_A_JOIN = 2
"""FFmpeg marks the last packet before a join, or the one before that where it parses the stream."""


class Damage:
    """Counts damaged packets; look at every one, in the order of the file.

    Where MPEG-TS recordings were joined, the numbers of its parts do not go on, and FFmpeg calls a packet
    corrupt. If the time stamps jump there as well, it is whole.
    """

    def __init__(self) -> None:
        self._counted = 0
        self._marked: deque[bool] = deque(BEFORE_A_JOIN * [False], maxlen=BEFORE_A_JOIN)
        self._last_s: float | None = None

    @property
    def packets(self) -> int:
        """How many are damaged so far."""
        return self._counted + sum(self._marked)

    def add(self) -> None:
        """Count a packet that cannot be read or decoded."""
        self._counted += 1

    def look_at(self, packet: av.Packet) -> None:
        """Count ``packet`` if FFmpeg marks it as corrupt, unless the next ones show a join."""
        time_s = None if packet.dts is None else float(packet.dts * packet.time_base)
        if self._jumps_to(time_s):
            self._marked.extend(BEFORE_A_JOIN * [False])
        self._counted += self._marked[0]
        self._marked.append(packet.is_corrupt)
        if time_s is not None:
            self._last_s = time_s

    def _jumps_to(self, time_s: float | None) -> bool:
        if time_s is None or self._last_s is None:
            return False
        return not -MAX_DISORDER_S <= time_s - self._last_s <= MAX_GAP_S
