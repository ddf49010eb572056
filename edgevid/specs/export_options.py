"""The options of an export, declared once for the command, the Python call and the request."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

Numbers = Sequence[float] | str
Path = str | os.PathLike[str]


def _option(default: Any, help: str, **command: Any) -> Any:
    """A field; ``command`` holds further settings of the click option."""
    return field(default=default, metadata={"help": help, **command})


@dataclass(frozen=True)
class ExportOptions:
    """How to export a network; None selects the default of the network, the target or the checkpoint.

    ``mean`` and ``std`` (three numbers for pixels from 0 to 1, or from 0 to 255 if one is above 1) and
    ``color`` ("RGB" or "BGR", also the order of the numbers) override the checkpoint's preprocessing. The
    three ``dynamic_*`` add a file in standard operators with those dimensions free.
    """

    backend: str | None = _option(None, "Backend (edgevid list backends). [default: the target's first]")
    weights: Path | None = _option(
        None,
        "Checkpoint, or folder of shards, to load; 'digits' for the weights of some small networks that come "
        "with edgevid. [default: random weights]",
        metavar="FILE|digits",
    )
    ema: bool = _option(False, "Load the averaged weights (EMA) of a checkpoint that has both.")
    mean: Numbers | None = _option(
        None,
        "Mean that the weights were trained with, for pixels from 0 to 1, or from 0 to 255 if a number of "
        "--mean or --std is above 1. [default: the checkpoint's, recognized by its parameter names]",
        metavar="A,B,C",
    )
    std: Numbers | None = _option(None, "Standard deviation, as --mean.", metavar="A,B,C")
    color: str | None = _option(
        None, "Channel order of the network's input, and of --mean and --std.", metavar="RGB|BGR"
    )
    classes: int | None = _option(None, "Number of classes. [default: the checkpoint's]", type=int)
    frames: int | None = _option(None, "Frames of a clip, T.", type=int)
    size: int | None = _option(None, "Height and width of the network's input in pixels.", type=int)
    stream: bool = _option(False, "Export a network that takes one frame at a time and keeps its state.")
    dynamic_batch: bool = _option(
        False,
        "Add model.dynamic.onnx, in standard operators, which takes any number of clips at once and is "
        "compared with PyTorch at other sizes. 'edgevid list models --verbose' lists what each network "
        "supports.",
    )
    dynamic_frames: bool = _option(False, "The same file takes clips of any length.")
    dynamic_size: bool = _option(False, "The same file takes any height and width.")
    explain: bool = _option(
        False,
        "Add model.explain.onnx, which returns class activation maps too, for 'edgevid explain'; the network "
        "that 'edgevid run' opens stays as it is.",
    )
    precision: str | None = _option(
        None, "Precision. [default: the target's first]", choices=("fp32", "fp16", "int8")
    )
    calibration: Path | None = _option(
        None, "Folder of videos on which --precision int8 measures its ranges.", metavar="DIR"
    )
    labels: str | None = _option(
        None, "Label set, or a text file with one label per line.", metavar="NAME|FILE"
    )
    force: bool = _option(False, "Replace an existing bundle, atomically.")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> ExportOptions:
        """Raises ``TypeError``, as any call would, with the nearest name for an unknown option."""
        names = [option.name for option in fields(cls)]
        for name in options:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                hint = f": did you mean '{near[0]}'?" if near else f": choose among {', '.join(names)}"
                raise TypeError(f"export() got an unexpected keyword argument '{name}'{hint}")
        return cls(**options)

    @property
    def dynamic(self) -> tuple[str, ...]:
        """The kinds of dimensions that the dynamic file leaves free."""
        kinds = {"batch": self.dynamic_batch, "frames": self.dynamic_frames, "size": self.dynamic_size}
        return tuple(kind for kind, free in kinds.items() if free)
