"""The wheel holds everything that the program reads, and installs without the extras."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgevid.host.processor import architecture
from edgevid.kernels.common.build import find_compiler

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    # A copy of what git tracks, so that what a build leaves behind stays out of the checkout.
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    for name in tracked.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", str(folder), str(source)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return next(folder.glob("edgevid-*.whl"))


def test_the_wheel_holds_data_and_top_level_folders(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        "edgevid/targets/jetson-orin-nano.toml",
        "edgevid/video/labels/kinetics400.txt",
        "edgevid/video/labels/jester.txt",
        "edgevid/backends/tensorrt/templates/build.sh",
        "edgevid/backends/tensorrt/templates/README.tensorrt.md",
        "edgevid/benchmarks/harness/worker.py",
        "edgevid/backends/onnxruntime/templates/README.onnxruntime.md",
        "edgevid/kernels/common/build.py",
        "edgevid/kernels/common/ort/library.cpp",
        "edgevid/kernels/common/ort/ort_abi.h",
        "edgevid/kernels/shift_conv/op.cpp",
        "edgevid/kernels/temporal_conv/cpu.cpp",
        "edgevid/cli/export.py",
    }
    assert expected <= names
    assert not any("/experiments/" in name for name in names)
    modules = {
        "/".join(["edgevid", *path.relative_to(ROOT).parts]).replace("edgevid/edgevid/", "edgevid/")
        for folder in ("edgevid", "kernels", "benchmarks", "targets")
        for path in (ROOT / folder).rglob("*.py")
        if "experiments" not in path.parts
    }
    assert modules <= names
    assert not any(name.startswith(("tests", "benchmarks", "kernels", "targets")) for name in names)


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """A folder that has the wheel alone; what it depends on is in the environment of the tests."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    subprocess.run([*command, str(wheel)], check=True, timeout=300)
    return folder


def run(site: Path, folder: Path, code: str, *arguments: object) -> subprocess.CompletedProcess:
    """Run ``code`` with the edgevid of ``site``, as on a device: no compiler in PATH, nothing cached."""
    environment = {"PATH": "", "PYTHONPATH": str(site), "EDGEVID_CACHE": str(folder / "cache")}
    check = "import sys, edgevid; assert edgevid.__file__.startswith(sys.argv[1]), edgevid.__file__\n"
    return subprocess.run(
        [sys.executable, "-c", check + code, str(site), *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )


def test_the_installed_wheel_lists_models_without_the_checkout(site, tmp_path):
    code = (
        "from edgevid.targets import TARGETS; assert 'jetson' in TARGETS\n"
        "from edgevid.cli import main; main(['list', 'models'])"
    )
    result = run(site, tmp_path, code)
    assert result.returncode == 0, result.stderr
    assert "tsm_mbv2" in result.stdout


@pytest.mark.slow
def test_a_device_without_a_compiler_runs_the_kernels_of_the_wheel(site, tmp_path, clip_bundle):
    if find_compiler() is None:
        pytest.skip("no C++ compiler was found: install g++ (Debian: apt install g++)")
    code = "session = edgevid.open(sys.argv[2]); print(*session.kernels, session.backend, sep='\\n')"
    result = run(site, tmp_path, code, clip_bundle.path)
    assert result.returncode == 0, result.stderr
    assert "ShiftConv x10" in result.stdout
    assert result.stderr == ""
    assert not (tmp_path / "cache" / "kernels").exists()


def test_doctor_names_the_kernels_that_are_used(site, tmp_path):
    code = "from edgevid.backends import BACKENDS; print(BACKENDS['onnxruntime'].available().what)"
    expected = "kernels installed with edgevid" if find_compiler() else "no kernels: install g++"
    assert run(site, tmp_path, code).stdout.strip().endswith(expected)


def test_a_wheel_with_kernels_is_for_this_platform_and_every_python(wheel):
    assert wheel.name.endswith(
        f"-py3-none-linux_{architecture()}.whl" if find_compiler() else "-py3-none-any.whl"
    )
