"""Decode untrusted JSON into dataclasses, checking every key, type and value.

A number is finite, an integer at least 0 and a text printable unless a rule for its field says otherwise.
"""

from __future__ import annotations

import functools
import json
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Any, TypeVar

import msgspec

Record = TypeVar("Record")
Rule = Callable[[Any], "str | None"]
"""Takes a value (each one of a tuple) and returns what is wrong with it, as the end of a sentence, such as
``must be above 0``; None if it is valid."""
Rules = Mapping[type, Mapping[str, Rule]]
"""Rules by dataclass and by the name of the field."""

MAX_DIGITS = 18
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
"""Control characters, which could overwrite the text on a terminal, and lone surrogates."""


def parse(data: bytes) -> Any:
    """The JSON value in ``data``. Raises ``ValueError`` for invalid JSON and for duplicate keys."""
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_object, parse_int=_integer)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def decode(kind: type[Record], value: Any, rules: Rules = types.MappingProxyType({})) -> Record:
    """``value`` as an instance of the dataclass ``kind``; ``ValueError`` names an invalid key."""
    try:
        record = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ValueError(_explain(str(error))) from None
    _check(value, kind, rules, "", _default_rule)
    return record


def printable(value: Any) -> Any:
    """A JSON value with a question mark for each character that ``decode`` refuses."""
    if isinstance(value, dict):
        return {printable(key): printable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [printable(item) for item in value]
    return UNPRINTABLE.sub("?", value) if isinstance(value, str) else value


def one_of(*values: Any) -> Rule:
    """A rule: one of these values."""
    names = ", ".join(map(str, values))
    return lambda value: None if value in values else f"must be one of {names}"


def at_least(minimum: float, maximum: float = math.inf) -> Rule:
    """A rule: from ``minimum`` to ``maximum``."""
    text = f"at least {minimum:g}" if maximum == math.inf else f"from {minimum:g} to {maximum:g}"
    return lambda value: None if minimum <= value <= maximum else f"must be {text}"


def positive(value: float) -> str | None:
    """The rule: above 0."""
    return None if value > 0 else "must be above 0"


def matches(pattern: str, what: str) -> Rule:
    """A rule: the regular expression ``pattern`` matches the whole string, which is ``what``."""
    return lambda value: None if re.fullmatch(pattern, value) else f"must be {what}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {_format(twice)} occurs twice")
    return values


def _integer(text: str) -> int:
    # Python's int takes quadratic time, or raises an error that is no help to a user.
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"a number has more than {MAX_DIGITS} digits")
    return int(text)


def _explain(message: str) -> str:
    """msgspec's message, ``Expected `int`, got `str` - at `$.frames```, with the key first."""
    what, _, place = message.partition(" - at ")
    path = re.sub(r"^.*`\$\.?(.*)`$", r"\1", place)
    match = re.fullmatch("Object missing required field `(.*)`", what)
    if match:
        return f"{_join(path, match[1])} is missing"
    what = what.replace("`", "")
    return f"{path or 'the document'}: {what[:1].lower()}{what[1:]}"


def _check(value: Any, kind: Any, rules: Rules, path: str, rule: Rule) -> None:
    """Walk ``value``, whose types are already those of ``kind``; ``ValueError`` for the first broken rule."""
    kind = _without_none(kind)
    if isinstance(value, dict) and _is_record(kind):
        field_types, field_rules = _types(kind), rules.get(kind, {})
        for key, item in value.items():
            if key not in field_types:
                raise ValueError(f"{_join(path, key)} is an unknown key")
            _check(item, field_types[key], rules, _join(path, key), field_rules.get(key, _default_rule))
    elif isinstance(value, dict):
        for key, item in value.items():
            _check(key, str, rules, _join(path, key), _default_rule)
            _check(item, typing.get_args(kind)[1], rules, _join(path, key), rule)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check(item, typing.get_args(kind)[0], rules, f"{path}[{index}]", rule)
    elif value is not None and (reason := _check_value(value) or rule(value)):
        raise ValueError(f"{path} {reason}, not {_format(value)}")


def _is_record(kind: Any) -> bool:
    return is_dataclass(kind) or typing.is_typeddict(kind)


@functools.cache
def _types(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _without_none(kind: Any) -> Any:
    """``X`` of ``X | None``."""
    if isinstance(kind, types.UnionType):
        return next(part for part in typing.get_args(kind) if part is not type(None))
    return kind


def _check_value(value: Any) -> str | None:
    if isinstance(value, str) and UNPRINTABLE.search(value):
        return "must have no control characters"
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    return None


def _default_rule(value: Any) -> str | None:
    return "must be at least 0" if isinstance(value, int) and value < 0 else None


def _join(path: str, key: str) -> str:
    name = key if re.fullmatch(r"\w+", key, re.ASCII) else _format(key)
    return f"{path}.{name}" if path else name


def _format(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
