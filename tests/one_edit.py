"""Random edits of a manifest: of a value somewhere in its JSON, or of a byte of its text."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

VALUES = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    -0.25,
    1e300,
    float("nan"),
    10**30,
    "",
    "x",
    "../x",
    "\x1b[2J",
    [],
    {},
    [[]],
)


def edit(text: str, choose: random.Random) -> tuple[bytes, str]:
    """The text with one edit, and what was done; the result is never what it was."""
    while True:
        what = choose.choice(("delete", "type", "number", "text", "add", "swap", "cut", "flip"))
        data = (
            _in_bytes(text.encode(), what, choose)
            if what in ("cut", "flip")
            else _in_json(text, what, choose)
        )
        if data is not None and data != text.encode():
            return data, what


def _in_bytes(data: bytes, what: str, choose: random.Random) -> bytes:
    place = choose.randrange(len(data))
    if what == "cut":
        return data[:place]
    return data[:place] + bytes([data[place] ^ 1 << choose.randrange(8)]) + data[place + 1 :]


def _in_json(text: str, what: str, choose: random.Random) -> bytes | None:
    content = json.loads(text)
    places = list(_places(content))
    holder, key = choose.choice(places)
    value = holder[key]
    if what == "delete":
        del holder[key]
    elif what == "type":
        holder[key] = copy.deepcopy(choose.choice(VALUES))
    elif what == "number" and isinstance(value, (int, float)) and not isinstance(value, bool):
        holder[key] = choose.choice((-value, value * 2, value + 1, value / 3, 0, value * 1e12))
    elif what == "text" and isinstance(value, str):
        holder[key] = choose.choice(
            (value.upper(), value[1:], value + "x", f"../{value}", f"/{value}", value[::-1])
        )
    elif what == "add" and isinstance(holder, dict):
        holder[choose.choice(("extra", "Frames", key + "_"))] = choose.choice(VALUES)
    elif what == "add":
        holder.append(copy.deepcopy(value))
    elif what == "swap":
        other, there = choose.choice(places)
        holder[key], other[there] = copy.deepcopy(other[there]), copy.deepcopy(value)
    else:
        return None
    try:
        return json.dumps(content, indent=2).encode() + b"\n"
    except (ValueError, RecursionError):  # a swap that put a value into itself
        return None


def _places(value: Any):
    """Each place in a JSON value: what holds it, and its key or index."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield value, key
        yield from _places(item)
