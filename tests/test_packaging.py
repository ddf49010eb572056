"""The wheel holds everything that the program reads, and installs without the extras."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

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


def test_the_installed_wheel_lists_models_without_the_checkout(wheel, tmp_path):
    target = tmp_path / "site"
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(target),
        str(wheel),
    ]
    subprocess.run(command, check=True, timeout=300)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import edgevid; assert edgevid.__file__.startswith(sys.argv[1]), edgevid.__file__\n"
        "from edgevid.targets import TARGETS; assert 'jetson' in TARGETS\n"
        "from edgevid.cli import main; main(['list', 'models'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(target)], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert "tsm_mbv2" in result.stdout
