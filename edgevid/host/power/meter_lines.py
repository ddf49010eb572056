"""The lines of an external meter, one number in watts in each, as they come. Standard library only.

Another program appends them to a file, or a serial line sends them, or a server answers with one each time.
"""

from __future__ import annotations

import os
import re
import time
import urllib.request
from collections.abc import Callable
from typing import Any

WAIT_S = 5.0
"""How long to wait for the first line, and for a server's answer."""
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")

Rows = list[tuple[int, list[float]]]


def watts(line: str) -> float | None:
    """The number in ``line``; None if it has none, such as a header.

    ``ValueError`` if it has several, since nobody knows which is the power.
    """
    found = NUMBER.findall(line)
    if len(found) > 1:
        raise ValueError(f"a line of the meter has several numbers: {line.strip()[:60]!r}")
    return float(found[0]) if found else None


class Arrivals:
    """Gives each line the time of its arrival. Lines that come together are spread over the time before."""

    def __init__(self) -> None:
        self.partial, self.before_ns = b"", time.monotonic_ns()

    def rows(self, received: bytes) -> Rows:
        *lines, self.partial = (self.partial + received).split(b"\n")
        values = [value for line in lines if (value := watts(line.decode(errors="replace"))) is not None]
        if not values:
            return []
        now, step = time.monotonic_ns(), (time.monotonic_ns() - self.before_ns) // len(values)
        self.before_ns = now
        return [(now - step * (len(values) - 1 - number), [value]) for number, value in enumerate(values)]


def read_csv(source: dict[str, Any]) -> Callable[[], Rows]:
    """Lines that are appended from now on."""
    file = open(source["csv"], "rb")  # noqa: SIM115 it stays open as long as this process
    file.seek(0, os.SEEK_END)
    arrivals = Arrivals()
    return lambda: arrivals.rows(file.read())


def read_serial(source: dict[str, Any]) -> Callable[[], Rows]:
    import termios
    import tty

    port = os.open(source["serial"], os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    tty.setraw(port)
    speed = getattr(termios, f"B{source['baud']}")
    attributes = termios.tcgetattr(port)
    attributes[4:6] = [speed, speed]
    termios.tcsetattr(port, termios.TCSANOW, attributes)
    arrivals = Arrivals()

    def rows() -> Rows:
        try:
            return arrivals.rows(os.read(port, 4096))
        except BlockingIOError:
            return []

    return rows


def read_http(source: dict[str, Any]) -> Callable[[], Rows]:
    def rows() -> Rows:
        before = time.monotonic_ns()
        with urllib.request.urlopen(source["http"], timeout=WAIT_S) as answer:
            value = watts(answer.read(4096).decode(errors="replace"))
        if value is None:
            raise ValueError("the meter's answer has no number")
        return [((before + time.monotonic_ns()) // 2, [value])]

    return rows


READERS: dict[str, Callable[[dict[str, Any]], Callable[[], Rows]]] = {
    "csv": read_csv,
    "serial": read_serial,
    "http": read_http,
}
