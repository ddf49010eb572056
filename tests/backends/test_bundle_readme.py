"""A backend's template becomes the README of a bundle."""

from __future__ import annotations

import numpy as np
import pytest

from edgevid.backends.protocol import Job
from edgevid.backends.readme import write_readme
from edgevid.specs import StateSpec
from edgevid.targets import TARGETS

STATE = StateSpec("state_0", "next_state_0", (1, 4))


def readme(tmp_path, text: str, states: tuple[StateSpec, ...] = (), **values: str) -> str:
    template = tmp_path / "template.md"
    template.write_text(text)
    clip = np.zeros((1, 3, 8, 8), np.float32)
    write_readme(
        tmp_path, Job("tsm", TARGETS["cpu"], "fp32", states, {"clip": clip}, {}), "tvm", template, **values
    )
    return (tmp_path / "README.md").read_text()


def test_it_describes_the_network_and_the_device(tmp_path):
    text = readme(tmp_path, "$model, $title: $inputs. $states")
    assert text.startswith(f"tsm, {TARGETS['cpu'].title}: `clip` 1x3x8x8 float32. ")
    assert "next_state_" not in text


@pytest.mark.parametrize("states, folder", [((), "tsm.cpu.tvm"), ((STATE,), "tsm.cpu.tvm.stream")])
def test_its_commands_name_the_folder_that_export_writes(tmp_path, states, folder):
    assert readme(tmp_path, "edgevid run $folder\n$states", states).startswith(f"edgevid run {folder}\n")


def test_it_tells_how_a_stream_is_fed(tmp_path):
    assert "feed each of its 1 outputs `next_state_*`" in readme(tmp_path, "$states", (STATE,))


def test_a_backend_replaces_a_value(tmp_path):
    assert readme(tmp_path, "$install", install="pip install tvm") == "pip install tvm"


def test_a_name_without_a_value_is_an_error(tmp_path):
    assert readme(tmp_path, "$other", other="value") == "value"
    with pytest.raises(KeyError, match="other"):
        readme(tmp_path, "$other")
