"""The options of an export: spelled once, for the command, the Python call and the request."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

Numbers = Sequence[float] | str
Path = str | os.PathLike[str]


def _option(default: Any, help: str, **command: Any) -> Any:
    """A field; ``command`` is what the command line needs beside the help, as click takes it."""
    return field(default=default, metadata={"help": help, **command})


@dataclass(frozen=True)
class ExportOptions:
    """How to export a network; None takes what the network, the target or the checkpoint says.

    ``mean``, ``std`` (three numbers, of pixels from 0 to 1, or from 0 to 255 if one is above 1) and ``color``
    ("RGB" or "BGR", the order of the numbers too) replace what the checkpoint was trained with. The three
    ``dynamic_*`` add a file in standard operators that takes any number along those dimensions.
    """

    backend: str | None = _option(None, "Backend, if not the target's first (edgevid list backends).")
    weights: Path | None = _option(
        None, "Checkpoint (or folder of shards) to load; random weights without it.", metavar="FILE"
    )
    ema: bool = _option(False, "Take the averaged weights (EMA) of a checkpoint that has both.")
    mean: Numbers | None = _option(
        None,
        "Mean that the weights were trained with, of pixels from 0 to 1, or from 0 to 255 if a number of "
        "--mean or --std is above 1. [default: that of who trained the checkpoint, by its names]",
        metavar="A,B,C",
    )
    std: Numbers | None = _option(None, "Standard deviation, as --mean.", metavar="A,B,C")
    color: str | None = _option(None, "Order of the colors, of --mean and --std too.", metavar="RGB|BGR")
    classes: int | None = _option(None, "Number of classes; taken from the weights if not given.", type=int)
    frames: int | None = _option(None, "Frames of a clip, T.", type=int)
    size: int | None = _option(None, "Height and width of the network's input in pixels.", type=int)
    stream: bool = _option(False, "Make a network that takes one frame at a time and keeps its state.")
    dynamic_batch: bool = _option(
        False,
        "Add model.dynamic.onnx, in standard operators, that takes any number of clips at once. It is "
        "compared with PyTorch at other numbers; which networks take which: edgevid list models --verbose.",
    )
    dynamic_frames: bool = _option(False, "The same file takes clips of any length.")
    dynamic_size: bool = _option(False, "The same file takes any height and width.")
    precision: str | None = _option(
        None, "Precision, if not the target's first.", choices=("fp32", "fp16", "int8")
    )
    calibration: Path | None = _option(
        None, "Folder of videos on which --precision int8 measures its ranges.", metavar="DIR"
    )
    labels: str | None = _option(
        None, "Label set, or a text file with one label a line.", metavar="NAME|FILE"
    )
    force: bool = _option(False, "Replace a bundle that exists, atomically.")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> ExportOptions:
        """``TypeError``, as of any call, names the nearest option if there is none of a name."""
        names = [option.name for option in fields(cls)]
        for name in options:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                hint = f": did you mean '{near[0]}'?" if near else f": choose among {', '.join(names)}"
                raise TypeError(f"export() got an unexpected keyword argument '{name}'{hint}")
        return cls(**options)

    @property
    def dynamic(self) -> tuple[str, ...]:
        """The kinds of dimensions that a second file leaves free."""
        kinds = {"batch": self.dynamic_batch, "frames": self.dynamic_frames, "size": self.dynamic_size}
        return tuple(kind for kind, free in kinds.items() if free)
