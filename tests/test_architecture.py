"""Who may import whom, by walking the imports of every file."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from import_graph import ROOT, circle, imports, module_graph, modules, room_graph

MODULES = modules()


def offenders(importers: tuple[str, ...], forbidden: tuple[str, ...], **options) -> list[str]:
    return [
        f"{name} imports {imported}"
        for name, path in MODULES.items()
        if is_in(name, importers)
        for imported in imports(path, **options)
        if is_in(imported, forbidden) and not is_in(imported, (name,))
    ]


def is_in(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


@pytest.mark.parametrize("module", ["edgevid.specs", "edgevid.errors", "edgevid.specs.registry"])
def test_the_foundations_import_nothing_of_ours_but_errors(module):
    ours = {name for name in imports(MODULES[module]) if is_in(name, ("edgevid",))}
    assert {name for name in ours if not is_in(name, ("edgevid.errors", module))} == set()


def test_the_comparison_needs_numpy_alone():
    others = {name for name in imports(MODULES["edgevid.parity"]) if not is_in(name, ("numpy",))}
    ours = {name for name in others if name.split(".")[0] not in sys.stdlib_module_names}
    assert {name for name in ours if not is_in(name, ("edgevid.errors", "edgevid.specs"))} == set()


def test_specs_need_the_standard_library_alone():
    """All but the decoder of untrusted JSON, which they do not import."""
    decoder = "edgevid.specs.records"
    modules = {module for module in MODULES if is_in(module, ("edgevid.specs",))} - {decoder}
    names = set().union(*(imports(MODULES[module]) for module in modules))
    for name in names - {"edgevid.errors.UnknownNameError"}:
        assert not is_in(name, (decoder,))
        assert is_in(name, ("edgevid.specs",)) or name.split(".")[0] in sys.stdlib_module_names


def test_passes_and_backends_know_neither_torch_nor_the_zoo():
    assert (
        offenders(("edgevid.passes", "edgevid.backends"), ("torch", "edgevid.zoo", "edgevid.exporter.trace"))
        == []
    )


def test_backends_do_not_import_each_other():
    packages = {
        path.name for path in (ROOT / "edgevid" / "backends").iterdir() if (path / "__init__.py").is_file()
    }
    assert packages >= {"onnxruntime", "tensorrt", "tvm"}
    for name in packages:
        others = tuple(f"edgevid.backends.{other}" for other in packages - {name})
        assert offenders((f"edgevid.backends.{name}",), others) == []


def test_no_name_of_a_backend_is_compared_outside_its_folder():
    """What differs between backends is a fact of ``Backend``, which a new one states too."""
    names = {path.parent.name for path in (ROOT / "edgevid" / "backends").glob("*/__init__.py")}
    compared = [
        f"{module}:{node.lineno}"
        for module, path in MODULES.items()
        if not is_in(module, tuple(f"edgevid.backends.{name}" for name in names))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Compare)
        for side in (node.left, *node.comparators)
        for part in getattr(side, "elts", [side])
        if isinstance(part, ast.Constant) and part.value in names
    ]
    assert compared == []


def test_nothing_imports_the_command_line():
    importers = {
        name
        for name, path in MODULES.items()
        if not is_in(name, ("edgevid.cli",))
        for imported in imports(path)
        if is_in(imported, ("edgevid.cli",))
    }
    assert importers == set()


def test_kernels_targets_and_benchmarks_do_not_reach_up():
    assert (
        offenders(
            ("edgevid.kernels", "edgevid.targets"), ("edgevid.zoo", "edgevid.exporter.pipeline", "torch")
        )
        == []
    )


def test_a_folder_of_kernels_is_an_op_with_its_reference():
    """Or ``common``, which no op is."""
    folders = {path.parent.name for path in (ROOT / "kernels").glob("*/__init__.py")}
    ops = {path.parent.name for path in (ROOT / "kernels").glob("*/reference.py")}
    assert folders - ops == {"common"}


def test_commands_import_nothing_heavy_when_they_are_listed():
    heavy = ("torch", "onnx", "onnx_ir", "onnxscript", "onnxruntime", "numpy", "av", "tabulate", "tqdm")
    assert offenders(("edgevid.cli",), heavy, top_level_only=True) == []


def test_the_rules_can_fail():
    assert offenders(("edgevid.exporter.trace",), ("torch",)) != []


def test_help_and_list_models_load_nothing_heavy():
    code = (
        "import sys; from edgevid.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'numpy', 'av'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    for arguments in (["--help"], ["list", "models"], ["list", "models", "--json"], ["list", "targets"]):
        result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr


def test_imports_lead_down_without_circles():
    """``python tests/import_graph.py`` prints the graph; imports inside functions count too."""
    graph = module_graph()
    rooms = room_graph(graph)
    assert circle(rooms) == []
    assert circle(graph) == []
    assert len(rooms) <= 24
    assert sum(map(len, rooms.values())) <= 75, "one arrow more than there was: is it needed?"


def test_a_circle_would_be_noticed():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []


def test_every_file_is_small_enough_to_hold_one_idea():
    for name, path in MODULES.items():
        assert len(path.read_text("utf-8").splitlines()) <= 320, name
