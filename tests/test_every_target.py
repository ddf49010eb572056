"""What the files of targets say of a GPU is typed, and read in one place."""

from __future__ import annotations

import pytest

from edgevid.targets import TARGETS, read_target
from edgevid.targets.gpu import Gpu, gpu_of

TOML = """
title = "a board"
architecture = "aarch64"
backends = ["tensorrt"]

[device]
tensorrt = "10.3"
install = "nothing"
"""


def written(folder, *lines: str):
    (folder / "board.toml").write_text(TOML + "\n".join(lines) + "\n")
    return read_target(folder / "board.toml")


def test_every_target_of_tensorrt_has_a_gpu():
    for target in TARGETS.values():
        assert ("tensorrt" in target.backends) == (gpu_of(target) is not None), target.name


def test_the_gpus_are_those_of_the_boards():
    # NVIDIA's data sheets: CUDA cores by the 64 or 128 of a multiprocessor of that architecture.
    counts = {name: gpu_of(TARGETS[name]).multiprocessors for name in TARGETS if name.startswith("jetson-")}
    assert counts == {
        "jetson-nano": 128 // 128,
        "jetson-xavier-nx": 384 // 64,
        "jetson-orin-nano": 1024 // 128,
        "jetson-agx-orin": 2048 // 128,
        "jetson-thor": 2560 // 128,
    }


def test_a_gpu_has_defaults_for_all_but_its_compute_capability(tmp_path):
    assert gpu_of(written(tmp_path, 'compute_capability = "8.6"')) == Gpu("8.6", 64, "8.0")
    assert gpu_of(written(tmp_path)) is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('compute_capability = "Ampere"', "compute_capability is '8.7'"),
        ("compute_capability = 8.7", "board.toml"),
        ('compute_capability = "8.7"\nmultiprocessors = 0', "at least 1"),
        ('compute_capability = "8.7"\nmultiprocessors = "8"', "board.toml"),
        ('compute_capability = "8.7"\nptx = "new"', "ptx is like '8.5'"),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_name(line, words, tmp_path):
    with pytest.raises(ValueError, match=r"board\.toml") as error:
        written(tmp_path, line)
    assert words in str(error.value)
