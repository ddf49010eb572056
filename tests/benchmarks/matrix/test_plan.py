"""A matrix is every combination of its lists; a name that does not exist is refused with the nearest one."""

from __future__ import annotations

import pytest
from one_bundle import STREAM, write_bundle

from edgevid.benchmarks.matrix.plan import read_matrix
from edgevid.errors import BenchmarkError
from edgevid.targets import TARGETS


@pytest.fixture
def plan(tmp_path):
    def read(text: str):
        (tmp_path / "matrix.toml").write_text(text)
        return read_matrix(tmp_path / "matrix.toml", TARGETS)

    return read


def test_a_matrix_is_every_combination_and_an_exports_cells_are_side_by_side(plan):
    cells = plan("""
        models = ["tsm_mbv2", "tsm_r50"]
        precisions = ["fp32", "int8"]
        scenarios = ["single-stream", "offline"]
        devices = ["local"]
        threads = [1, 2]
        duration = 3
    """)
    assert [cell.title for cell in cells[:5]] == [
        "tsm_mbv2 cpu fp32 single-stream 1 threads",
        "tsm_mbv2 cpu fp32 single-stream 2 threads",
        "tsm_mbv2 cpu fp32 offline 1 threads",
        "tsm_mbv2 cpu fp32 offline 2 threads",
        "tsm_mbv2 cpu int8 single-stream 1 threads",
    ]
    assert len({cell.key for cell in cells}) == len(cells) == 16
    assert {cell.duration_s for cell in cells} == {3.0}


def test_lists_that_are_left_out_have_one_entry_or_the_default_scenarios(plan):
    assert [cell.title for cell in plan('models = ["tsm_mbv2"]')] == [
        "tsm_mbv2 cpu single-stream",
        "tsm_mbv2 cpu offline",
    ]


def test_a_bundle_keeps_its_key_in_another_folder_and_is_measured_once(plan, tmp_path):
    write_bundle(tmp_path / "a")
    (tmp_path / "deep").mkdir()
    (first,) = plan('bundles = ["a", "./a"]\nscenarios = ["offline"]')
    (tmp_path / "a").rename(tmp_path / "deep" / "b")
    (second,) = plan('bundles = ["deep/b"]\nscenarios = ["offline"]')
    assert (first.title, second.title) == ("a offline", "deep/b offline")
    assert first.key == second.key
    assert second.path == str(tmp_path / "deep" / "b")


def test_another_bundle_scenario_device_duration_or_threads_has_another_key(plan, tmp_path):
    write_bundle(tmp_path / "a")
    write_bundle(tmp_path / "b", STREAM)
    base = 'bundles = ["a"]\nscenarios = ["offline"]\n'
    texts = (
        base,
        base.replace('"a"', '"b"'),
        base.replace("offline", "single-stream"),
        base + 'devices = ["rpc://host:1/key"]',
        base + "duration = 3",
        base + "threads = [1]",
        base + "pin = false",
        base + "[settings]\nstreams = 2",
    )
    assert len({plan(text)[0].key for text in texts}) == len(texts)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('modles = ["tsm_mbv2"]', "unknown key 'modles': did you mean models"),
        ('models = ["tsm_mbv3"]', "unknown model 'tsm_mbv3': did you mean tsm_mbv2"),
        ('models = ["tsm_mbv2"]\ntargets = ["jetsn"]', "did you mean jetson"),
        ('models = ["tsm_mbv2"]\nprecisions = ["int9"]', "unknown precision 'int9': did you mean int8"),
        ('models = ["tsm_mbv2"]\nscenarios = ["offlne"]', "unknown scenario 'offlne'"),
        ('models = "tsm_mbv2"', "models: expected array, got str"),
        ('models = ["tsm_mbv2"]\nduration = 0', "duration must be above 0"),
        ('models = ["tsm_mbv2"]\nthreads = [0]', "threads.* must be above 0"),
        ('models = ["tsm_mbv2"]\n[settings]\nsteams = 2', "settings.steams is an unknown key"),
        ('models = ["tsm_mbv2"]\n[settings]\nstreams = 0', "settings.streams must be above 0"),
        ('models = ["my.module:net"]', "name its folder in bundles"),
        ('bundles = ["none"]', "there is no bundle"),
        ("", "nothing to measure"),
        ("models = [", "matrix.toml"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(plan, text, words):
    with pytest.raises(BenchmarkError, match=words) as caught:
        plan(text)
    assert "matrix.toml" in str(caught.value) and "\n" not in str(caught.value)


def test_targets_and_precisions_without_models_are_refused(plan, tmp_path):
    write_bundle(tmp_path / "a")
    with pytest.raises(BenchmarkError, match="a bundle has its own"):
        plan('bundles = ["a"]\nprecisions = ["int8"]')


def test_a_file_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(BenchmarkError, match="cannot be read"):
        read_matrix(tmp_path / "none.toml", TARGETS)
