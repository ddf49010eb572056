"""The library is built once, and a machine that cannot build it runs without it."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import subprocess
import sys

import pytest

from edgevid.backends.onnxruntime.specialize.pipeline import isa_of, specialize
from edgevid.errors import BackendError
from edgevid.kernels.common import build


@pytest.fixture(autouse=True)
def forget_warnings():
    build._warn_once.cache_clear()


@pytest.fixture
def fake_compiler(tmp_path, monkeypatch):
    """A fake compiler that logs its runs and makes empty files, or fails."""
    log = tmp_path / "runs"
    script = tmp_path / "fake-c++"

    def make(fails: bool = False):
        end = 'echo "x.cpp:1: error: no such thing" >&2; exit 1' if fails else ""
        script.write_text(
            '#!/bin/sh\ncase "$1" in\n--version) echo fake 1.0; exit 0;;\n'
            '-dumpmachine) echo "$(uname -m)-linux"; exit 0;;\nesac\n'
            f'echo "$@" >> {log}\n{end}\n'
            'while [ $# -gt 0 ]; do [ "$1" = -o ] && touch "$2"; shift; done\n'
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("CXX", str(script))
        monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path / "cache"))
        return log

    return make


def test_a_library_is_built_once(fake_compiler):
    log = fake_compiler()
    first = build.library()
    runs = len(log.read_text().splitlines())
    assert build.library() == first
    assert first.is_file()
    assert len(log.read_text().splitlines()) == runs > len(build.isa_flags())
    assert [path.name for path in first.parent.iterdir()] == [first.name]


def test_processes_that_need_it_at_once_build_it_once(fake_compiler):
    runs = fake_compiler()
    build.library()
    once = len(runs.read_text().splitlines())
    (library,) = (build.cache_folder() / "kernels").iterdir()
    library.unlink()
    runs.unlink()
    command = [sys.executable, "-c", "from edgevid.kernels.common import build; print(build.library())"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[0].strip() for process in processes] == [str(library)] * 3
    assert len(runs.read_text().splitlines()) == once


@pytest.mark.parametrize("variable", ["EDGEVID_CXXFLAGS", "CXX"])
def test_other_flags_make_another_library(fake_compiler, monkeypatch, variable):
    fake_compiler()
    first = build.library()
    monkeypatch.setenv(variable, f"{os.environ.get(variable, '')} -O1")
    assert build.library() != first


def test_flags_of_the_environment_come_after_ours(fake_compiler, monkeypatch):
    runs = fake_compiler()
    monkeypatch.setenv("EDGEVID_CXXFLAGS", "-O1 '-DNAME=two words'")
    build.library()
    lines = runs.read_text().splitlines()
    assert lines
    assert all("-O3" in line and line.index("-O3") < line.index("-O1 -DNAME=two words") for line in lines)


def test_without_a_compiler_it_says_so_once(clip_bundle, monkeypatch, caplog):
    monkeypatch.setenv("CXX", "no-such-compiler")
    path = clip_bundle.path / clip_bundle.manifest.model_file
    with caplog.at_level(logging.WARNING, "edgevid"):
        results = [specialize(path, None, 1) for _ in range(2)]
    assert [record.message for record in caplog.records] == [
        "no C++ compiler was found, so networks run without the kernels: install g++ or set CXX"
    ]
    assert results[0].path == path
    assert results[0].op_coverage
    assert all(op.kernel is None and "install g++" in op.reason for op in results[0].op_coverage)
    assert all(op.bytes_after == op.bytes_before > 0 for op in results[0].op_coverage)


def test_a_compiler_that_fails_is_reported_with_its_first_error(fake_compiler, caplog):
    fake_compiler(fails=True)
    with caplog.at_level(logging.WARNING, "edgevid"):
        assert build.library() is None
    assert "cannot build the kernels" in caplog.text
    assert "no such thing" in caplog.text


def test_a_folder_that_cannot_be_written_does_not_matter(fake_compiler, tmp_path, monkeypatch):
    fake_compiler()
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path / "file"))
    library = build.library()
    assert library.is_file()
    shutil.rmtree(library.parent)
    build.temporary_folder.cache_clear()


@pytest.mark.parametrize(
    ("variables", "cache"), [({"EDGEVID_CACHE": "/a"}, "/a"), ({"XDG_CACHE_HOME": "/b"}, "/b/edgevid")]
)
def test_the_cache_folder_can_be_chosen(monkeypatch, variables, cache):
    monkeypatch.delenv("EDGEVID_CACHE", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(build.cache_folder()) == cache


def test_an_instruction_set_can_be_forced(library, monkeypatch):
    monkeypatch.setenv("EDGEVID_ISA", "generic")
    assert isa_of(library) == "generic"
    monkeypatch.setenv("EDGEVID_ISA", "")
    assert isa_of(library) in build.X86_FLAGS


def test_an_unknown_instruction_set_is_a_clear_error(library, monkeypatch, run_op):
    monkeypatch.setenv("EDGEVID_ISA", "avx1024")
    with pytest.raises(BackendError, match="EDGEVID_ISA=avx1024 is unknown: use avx512, avx2 or generic"):
        isa_of(library)
    with pytest.raises(Exception, match="EDGEVID_ISA=avx1024 is unknown"):
        run_op("TemporalShift", [], frames=1)
