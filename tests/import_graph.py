"""Who imports whom, read from the source: ``python tests/import_graph.py`` prints the rooms and the arrows.

A room is a file or folder at the top of ``edgevid``, or one of the folders that install inside it. Imports
inside functions count as those at the top do; those under ``if TYPE_CHECKING`` never run and do not count.
"""

from __future__ import annotations

import ast
import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = {
    "edgevid": "edgevid",
    "kernels": "edgevid.kernels",
    "benchmarks": "edgevid.benchmarks",
    "targets": "edgevid.targets",
}


def modules() -> dict[str, Path]:
    """Every module by its dotted name; scripts that are copied into bundles are not modules."""
    paths = {}
    for folder, package in FOLDERS.items():
        for path in (ROOT / folder).rglob("*.py"):
            if path.parent.name != "templates":
                parts = path.relative_to(ROOT / folder).with_suffix("").parts
                paths[".".join([package, *(part for part in parts if part != "__init__")])] = path
    return paths


@functools.cache
def imports(path: Path, top_level_only: bool = False) -> frozenset[str]:
    """Dotted names that a file imports, each with the names that it takes from them."""
    tree = ast.parse(path.read_text("utf-8"))
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    names: set[str] = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def module_graph() -> dict[str, set[str]]:
    """Each module with those of ours that it imports."""
    paths = modules()
    return {
        name: {target for target in map(functools.partial(_module_of, paths), imports(path)) if target}
        - {name}
        for name, path in paths.items()
    }


def _module_of(paths: Mapping[str, Path], name: str) -> str | None:
    """The module that ``name`` is, or that holds it; None if it is not ours."""
    while name and name not in paths:
        name = name.rpartition(".")[0]
    return name or None


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def room_graph(graph: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """Each room with those that its modules import."""
    rooms: dict[str, set[str]] = defaultdict(set)
    for module, targets in graph.items():
        rooms[room_of(module)] |= {room_of(target) for target in targets} - {room_of(module)}
    return dict(rooms)


def circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """A path that ends where it begins; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def floors(rooms: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The rooms by floor, the ground floor first: every arrow leads down."""
    sorter = TopologicalSorter(rooms)
    sorter.prepare()
    levels = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        levels.append(ready)
        sorter.done(*ready)
    return levels


def main() -> None:
    modules_of_ours = module_graph()
    rooms = room_graph(modules_of_ours)
    print(f"{len(rooms)} rooms, {sum(map(len, rooms.values()))} arrows between them")
    if path := circle(rooms):
        print("a circle of rooms: " + " -> ".join(path))
    else:
        for number, level in reversed(list(enumerate(floors(rooms), 1))):
            print(f"floor {number}: " + ", ".join(room.removeprefix("edgevid.") for room in level))
    if path := circle(modules_of_ours):
        print("a circle of modules: " + " -> ".join(path))
    for room, targets in sorted(rooms.items()):
        print(f"  {room} -> " + ", ".join(sorted(target.removeprefix("edgevid.") for target in targets)))


if __name__ == "__main__":
    main()
