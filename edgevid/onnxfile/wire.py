"""Read and write the few protobuf messages of an ONNX model, without the ``onnx`` package.

A message is a list of its fields in order; unchanged fields are written back byte for byte. Field numbers are
those of onnx.proto. Encoding: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
WIDTHS = {FIXED64: 8, FIXED32: 4}


class Message:
    """``fields`` holds ``(number, wire type, value)``: an int for a varint, else bytes."""

    def __init__(self, data: bytes = b"") -> None:
        self.fields: list[tuple[int, int, Any]] = [
            (number, kind, value if kind == VARINT else bytes(value))
            for number, kind, value in fields_of(memoryview(data))
        ]

    def all(self, number: int) -> list:
        return [value for field, _, value in self.fields if field == number]

    def get(self, number: int, default=None):
        """The last value of a field, as protobuf defines it."""
        values = self.all(number)
        return values[-1] if values else default

    def text(self, number: int) -> str:
        return bytes(self.get(number, b"")).decode()

    def texts(self, number: int) -> list[str]:
        return [bytes(value).decode() for value in self.all(number)]

    def messages(self, number: int) -> list[Message]:
        return [Message(value) for value in self.all(number)]

    def integers(self, number: int) -> list[int]:
        """A repeated integer, packed or not."""
        values: list[int] = []
        for field, kind, value in self.fields:
            if field == number:
                values += [signed(value)] if kind == VARINT else map(signed, _varints(value))
        return values

    def floats(self, number: int) -> list[float]:
        """A repeated float, packed or not."""
        data = b"".join(self.all(number))
        return list(struct.unpack(f"<{len(data) // 4}f", data))

    def add(self, number: int, value: int | float | str | bytes | Message) -> Message:
        """Append a field; returns the message itself."""
        if isinstance(value, int):
            self.fields.append((number, VARINT, value))
        elif isinstance(value, float):
            self.fields.append((number, FIXED32, struct.pack("<f", value)))
        else:
            data = value.encode() if isinstance(value, str) else bytes(value)
            self.fields.append((number, BYTES, data))
        return self

    def replace(self, number: int, values) -> Message:
        """Replace the field's values by ``values``, at the place of the first."""
        indices = [index for index, field in enumerate(self.fields) if field[0] == number]
        rest = self.fields[indices[0] :] if indices else []
        self.fields = self.fields[: len(self.fields) - len(rest)]
        for value in values:
            self.add(number, value)
        self.fields += [field for field in rest if field[0] != number]
        return self

    def __bytes__(self) -> bytes:
        parts = bytearray()
        for number, kind, value in self.fields:
            parts += _varint(number << 3 | kind)
            if kind == VARINT:
                parts += _varint(value)
                continue
            if kind == BYTES:
                parts += _varint(len(value))
            parts += value
        return bytes(parts)


def signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def _read_varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position
        if shift > 63:
            raise ValueError("an integer is too long")


def _varints(data: bytes) -> Iterator[int]:
    view, position = memoryview(data), 0
    while position < len(view):
        value, position = _read_varint(view, position)
        yield value


def fields_of(data: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Number, wire type and value of a message's fields, without a copy; ``ValueError`` if it is invalid."""
    position = 0
    try:
        while position < len(data):
            key, position = _read_varint(data, position)
            if key >> 32:  # Google's parser would use its lower half
                raise ValueError("a field number is too large")
            number, kind = key >> 3, key & 7
            if kind == VARINT:
                value, position = _read_varint(data, position)
                yield number, kind, value
                continue
            if kind == BYTES:
                size, position = _read_varint(data, position)
            elif kind in WIDTHS:
                size = WIDTHS[kind]
            else:
                raise ValueError(f"wire type {kind} is unknown")
            if position + size > len(data):
                raise ValueError("it ends early")
            yield number, kind, data[position : position + size]
            position += size
    except (IndexError, ValueError) as error:
        raise ValueError(f"not a protobuf message: {error or 'it ends early'}") from None
