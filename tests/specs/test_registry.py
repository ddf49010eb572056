"""A registry has our own entries, and those of packages of others, of which a broken one does no harm."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

from edgevid.errors import UnknownNameError
from edgevid.specs.registry import Registry, instance_of


@dataclass(frozen=True)
class Thing:
    name: str


@pytest.fixture
def things(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    things: Registry[Thing] = Registry("thing", "things", instance_of(Thing))
    things.register("ours", Thing("ours"))
    return things


def install(folder, package: str, code: str, points: str, group: str = "edgevid.things") -> None:
    """Write a package of one module and what an installer would write about it."""
    module = package.replace("-", "_")
    (folder / f"{module}.py").write_text(code)
    sys.modules.pop(module, None)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{points}\n")


THING = "from tests_of_registry import Thing\n"


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.setitem(sys.modules, "tests_of_registry", sys.modules[__name__])


def test_a_package_adds_one_entry_or_a_list_after_ours(things, tmp_path):
    install(tmp_path, "pair", THING + "BOTH = [Thing('a'), Thing('b')]", "both = pair:BOTH")
    install(tmp_path, "one", THING + "ONE = Thing('c')", "one = one:ONE")
    assert list(things) == ["ours", "c", "a", "b"]
    assert things["a"] == Thing("a")
    assert (things.package_of("a"), things.package_of("ours")) == ("pair 1.0", "edgevid")


def test_packages_are_not_asked_for_what_is_ours(things, monkeypatch):
    monkeypatch.setattr("edgevid.specs.registry.entry_points", None)
    assert things["ours"] == Thing("ours") and "ours" in things
    with pytest.raises(TypeError):
        list(things)


def test_packages_are_loaded_once(things, monkeypatch):
    times = []
    monkeypatch.setattr("edgevid.specs.registry.entry_points", lambda group: times.append(group) or ())
    assert list(things) == ["ours"] and "other" not in things
    assert times == ["edgevid.things"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import there_is_no_such_module", "ModuleNotFoundError: No module named 'there_is_no_such_module'"),
        ("raise SystemError('two\\nlines')", "SystemError: two lines"),
        ("", "AttributeError"),
        ("THING = 3", "it is of type int, not Thing"),
        (THING + "THING = Thing('ours')", "thing 'ours' is already registered by edgevid"),
        (THING + "THING = Thing('theirs')", "thing 'theirs' is already registered by alright 1.0"),
    ],
)
def test_what_cannot_be_loaded_is_one_warning_that_names_the_package(things, tmp_path, caplog, code, words):
    install(tmp_path, "alright", THING + "THING = Thing('theirs')", "theirs = alright:THING")
    install(tmp_path, "broken", code, "thing = broken:THING")
    assert list(things) == ["ours", "theirs"]
    (record,) = caplog.records
    message = record.getMessage()
    assert message.startswith("package broken 1.0") and "edgevid.things" in message and words in message
    assert "\n" not in message


def test_a_name_that_nobody_registered_suggests_the_nearest_of_all(things, tmp_path):
    install(tmp_path, "one", THING + "ONE = Thing('theirs')", "one = one:ONE")
    with pytest.raises(UnknownNameError, match="unknown thing 'their': did you mean theirs"):
        things["their"]


def test_registering_twice_names_who_was_first(things):
    with pytest.raises(ValueError, match="thing 'ours' is already registered by edgevid"):
        things.register("ours", Thing("ours"))


@pytest.mark.parametrize("arguments", [["--help"], ["list", "--help"]])
def test_help_asks_no_package(tmp_path, arguments):
    install(tmp_path, "loud", "raise RuntimeError('was imported')", "x = loud:X", "edgevid.models")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    command = [sys.executable, "-c", "from edgevid.cli import main; main()"]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0 and done.stderr == ""


def test_listing_goes_on_beside_a_broken_package(tmp_path):
    for group in ("models", "backends", "targets"):
        install(
            tmp_path, f"bad-{group}", "raise RuntimeError('bad')", f"x = bad_{group}:X", f"edgevid.{group}"
        )
    path = os.pathsep.join([str(tmp_path), *sys.path])
    groups_read = {"models": ["models"], "backends": ["backends"], "targets": ["backends", "targets"]}
    for group, ours in (("models", "tsm_mbv2"), ("backends", "tvm"), ("targets", "jetson")):
        done = subprocess.run(
            [sys.executable, "-c", "from edgevid.cli import main; main()", "list", group],
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        assert done.returncode == 0 and ours in done.stdout
        lines = sorted(done.stderr.splitlines())
        assert len(lines) == len(groups_read[group])
        assert all(f"bad-{name}" in line for name, line in zip(groups_read[group], lines))


def test_the_groups_are_those_that_the_package_itself_documents():
    import edgevid.specs.registry

    for group in ("edgevid.backends", "edgevid.models", "edgevid.targets", "edgevid.probes"):
        assert f"``{group}``" in edgevid.specs.registry.__doc__
    assert importlib.metadata.entry_points(group="edgevid.things") is not None
