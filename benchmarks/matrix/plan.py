"""What to measure: a TOML file of models or bundles, targets, precisions, scenarios and devices.

::

    models = ["tsm_mbv2", "tsm_r50"]
    precisions = ["fp32", "int8"]
    scenarios = ["single-stream", "offline"]
    duration = 10

is eight measurements. ``models`` or ``bundles`` is needed; every other key has a default.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TypeVar

from edgevid.benchmarks.harness.protocol import Settings
from edgevid.benchmarks.harness.scenarios import SCENARIOS, scenario_named
from edgevid.bundle.bundle import Bundle
from edgevid.errors import BenchmarkError, EdgevidError
from edgevid.host.probes import check_power
from edgevid.specs import LOCAL, TOLERANCE, records
from edgevid.specs.registry import check_choice
from edgevid.zoo import MODELS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Entry = TypeVar("Entry")
DEFAULT_TARGET = "cpu"


@dataclass(frozen=True)
class Matrix:
    """The keys of the file.

    ``bundles`` are folders, relative to the file's. ``targets`` and ``precisions`` are for ``models``, which
    are exported once for each; without ``precisions`` the target's own. ``duration`` is in seconds, of each
    measurement. Without ``threads`` a backend has its own number. ``settings``, ``pin`` and ``power``
    are options of ``edgevid bench`` for all.
    """

    models: list[str] = field(default_factory=list)
    bundles: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    precisions: list[str] = field(default_factory=list)
    scenarios: list[str] = field(default_factory=list)
    devices: list[str] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    duration: float | None = None
    settings: Settings = field(default_factory=Settings)
    pin: bool = True
    power: str | None = None


@dataclass(frozen=True)
class Cell:
    """One measurement of a matrix: of the bundle at ``path``, or of a model that is exported first.

    ``identity`` is the hash of the bundle's manifest; None for a model, which its name, target and precision
    identify.
    """

    name: str
    path: str | None
    identity: str | None
    target: str | None
    precision: str | None
    scenario: str
    device: str
    threads: int | None
    duration_s: float | None
    settings: Settings = field(default_factory=Settings)
    pinned: bool = True
    power: str | None = None

    @functools.cached_property
    def key(self) -> str:
        """The same for the same measurement in every run, wherever the bundle's folder is."""
        moved = replace(self, name="", path=None) if self.identity else self
        return hashlib.sha256(json.dumps(asdict(moved)).encode()).hexdigest()[:20]

    @property
    def title(self) -> str:
        threads = f"{self.threads} threads" if self.threads else None
        device = self.device if self.device != LOCAL else None
        parts = (self.name, self.target, self.precision, self.scenario, threads, device)
        return " ".join(part for part in parts if part)


def _positive(value: float | None) -> str | None:
    return None if value is None or value > 0 else "must be above 0"


RULES: records.Rules = {
    Matrix: {"threads": _positive, "duration": _positive},
    Settings: dict.fromkeys(("streams", "latency_bound_ms", "fps", "deadline_ms"), _positive),
}


def read_matrix(file: Path, targets: Iterable[str]) -> list[Cell]:
    """The measurements of a file, those of one export side by side; ``targets`` are those that exist.

    Raises ``BenchmarkError``, with the file's name, for a key, a name or a value that is not known.
    """
    try:
        table = tomllib.loads(file.read_text("utf-8"))
        for key in table:
            check_choice("key", key, [item.name for item in fields(Matrix)])
        matrix = records.decode(Matrix, table, RULES)
        _check_names(matrix, targets)
        cells: dict[str, Cell] = {}
        for cell in _cells(matrix, file.parent):
            cells.setdefault(cell.key, cell)
        return list(cells.values())
    except (EdgevidError, ValueError) as error:
        raise BenchmarkError(f"'{file}': {error}") from error
    except OSError as error:
        raise BenchmarkError(
            f"the matrix '{file}' cannot be read ({error.strerror}): check the path"
        ) from error


def _check_names(matrix: Matrix, targets: Iterable[str]) -> None:
    if not matrix.models and not matrix.bundles:
        raise BenchmarkError('nothing to measure: name networks, models = ["tsm_mbv2"], or folders, bundles')
    for key in ("targets", "precisions"):
        if getattr(matrix, key) and not matrix.models:
            raise BenchmarkError(f"{key} are those of models, and there are none: a bundle has its own")
    for model in matrix.models:
        if ":" in model:
            raise BenchmarkError(
                f"export '{model}', a network of your own, first and name its folder in bundles"
            )
        MODELS[model]
    for target in matrix.targets:
        check_choice("target", target, targets)
    for precision in matrix.precisions:
        check_choice("precision", precision, TOLERANCE)
    for scenario in matrix.scenarios:
        scenario_named(scenario)
    if matrix.power is not None:
        check_power(matrix.power)


def _cells(matrix: Matrix, folder: Path) -> Iterator[Cell]:
    settings = matrix.settings
    if settings.video is not None:
        settings = replace(settings, video=str((folder / settings.video).resolve()))
    how = (None, matrix.duration, settings, matrix.pin, matrix.power)
    subjects = [
        Cell(model, None, None, target, precision, "", "", *how)
        for model in _unique(matrix.models)
        for target in _unique(matrix.targets) or [DEFAULT_TARGET]
        for precision in _unique(matrix.precisions) or (None,)
    ]
    for name in _unique(matrix.bundles):
        bundle = Bundle.open(folder / name)
        path = str(bundle.path.resolve())
        subjects.append(Cell(name, path, bundle.sha256, None, None, "", "", *how))
    by_default = [scenario.name for scenario in SCENARIOS.values() if scenario.by_default]
    for subject, device, scenario, threads in itertools.product(
        subjects,
        _unique(matrix.devices) or [LOCAL],
        _unique(matrix.scenarios) or by_default,
        _unique(matrix.threads) or (None,),
    ):
        yield replace(subject, device=device, scenario=scenario, threads=threads)


def _unique(values: list[Entry]) -> list[Entry]:
    return list(dict.fromkeys(values))
