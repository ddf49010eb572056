"""A matrix runs to its end whatever fails, and goes on where it stopped."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from edgevid.benchmarks.experiments.matrix_kills import fake_cells, fake_measure
from edgevid.benchmarks.matrix.exports import Exports
from edgevid.benchmarks.matrix.journal import Journal
from edgevid.benchmarks.matrix.plan import Cell
from edgevid.benchmarks.matrix.runner import Runner
from edgevid.errors import BenchmarkError, ExportError

MODEL = Cell("tsm_mbv2", None, None, "cpu", "int8", "offline", "local", None, 1.0)


@pytest.fixture
def paths(tmp_path):
    return tmp_path / "matrix.journal.jsonl", tmp_path / "witnesses"


def run(paths, cells, **options):
    said: list[str] = []
    kept: list[dict] = []
    retry = options.pop("retry_failed", False)
    with Journal(paths[0]) as journal:
        measure = fake_measure(paths[1])
        runner = Runner(journal, lambda cell: cell.name, measure, said.append, kept.append, **options)
        runner.run(cells, retry)
        return said, kept, dict(journal.failures)


def measured(paths):
    """The cells whose worker came to its end."""
    return paths[1].read_text().split()


def test_each_cell_is_measured_once_and_the_line_says_which(paths):
    cells = fake_cells("fake0", "fake1")
    said, kept, failures = run(paths, cells)
    assert said == ["1/2 fake0 single-stream ...", "2/2 fake1 single-stream ..."]
    assert failures == {} and [result["bundle"] for result in kept] == ["fake0", "fake1"]
    entries = [json.loads(line) for line in paths[0].read_text().splitlines()]
    assert [entry["cell"] for entry in entries] == [cell.key for cell in cells]
    assert [entry["result"] for entry in entries] == kept
    assert len({result["measurement_id"] for result in kept}) == 2

    said, again, _ = run(paths, fake_cells("fake0", "fake1", "fake2"), known=lambda names: {names[0]})
    assert said[0].startswith("2 of 3 are in") and said[1] == "3/3 fake2 single-stream ..."
    assert again[:-1] == kept[1:], "a store gets what the first run may have kept from it"
    assert measured(paths) == ["fake0", "fake1", "fake2"]


def test_a_failure_is_recorded_does_not_stop_the_rest_and_is_retried_when_asked(paths, tmp_path):
    cells = fake_cells("broken", "fake0")
    said, kept, failures = run(paths, cells)
    assert failures == {cells[0].key: "the bundle is cut short: export it again"}
    assert said[1] == "broken single-stream failed: the bundle is cut short: export it again"
    assert [result["bundle"] for result in kept] == ["fake0"]
    said, _, _ = run(paths, cells)
    assert len(said) == 1, "neither is tried again"
    said, _, failures = run(paths, cells, retry_failed=True)
    assert said[1] == "1/2 broken single-stream ..." and len(failures) == 1


def test_a_line_cut_short_by_a_kill_is_measured_again(paths):
    cells = fake_cells("fake0", "fake1")
    run(paths, cells)
    content = paths[0].read_bytes()
    paths[0].write_bytes(content[:-100])
    run(paths, cells)
    assert measured(paths) == ["fake0", "fake1", "fake1"]
    assert [cell["cell"] for cell in map(json.loads, paths[0].read_text().splitlines())] == [
        cell.key for cell in cells
    ]


@pytest.mark.parametrize(
    "content", [b"my notes", b"notes\n" * 3, b'{"cell": 7}\n', b'{"cell": "a"}\n', b"SQLite format 3\0"]
)
def test_a_file_that_is_no_journal_is_refused_and_unchanged(paths, content):
    paths[0].write_bytes(content)
    with pytest.raises(BenchmarkError, match=r"line 1 of .* choose another file with --journal"):
        Journal(paths[0])
    assert paths[0].read_bytes() == content


def test_a_journal_belongs_to_one_run_at_a_time(paths, monkeypatch):
    monkeypatch.setattr("edgevid.benchmarks.matrix.journal.LOCK_S", 0.1)

    def open_it(queue):
        try:
            Journal(paths[0])
        except BenchmarkError as error:
            queue.put(str(error))

    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with Journal(paths[0]):
        process = context.Process(target=open_it, args=(queue,))
        process.start()
        assert "another run is using the journal" in queue.get(timeout=30)
        process.join()
    Journal(paths[0]).__exit__(None, None, None)


def test_a_journal_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(BenchmarkError, match="cannot be written"):
        Journal(tmp_path / "none" / "journal.jsonl")


class FakeExport:
    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[dict] = []
        self.error = error

    def __call__(self, model: str, output: Path, **options: str) -> None:
        from one_bundle import write_bundle

        self.calls.append({"model": model, **options})
        if self.error:
            raise self.error
        write_bundle(output)


def test_a_model_is_exported_once_for_each_target_and_precision_and_kept(tmp_path):
    export = FakeExport()
    for _ in range(2):
        exports = Exports(tmp_path / "bundles", print, export)
        folders = {exports(MODEL) for _ in range(2)}
    assert folders == {str(tmp_path / "bundles" / "tsm_mbv2.cpu.int8")}
    assert export.calls == [{"model": "tsm_mbv2", "target": "cpu", "precision": "int8"}]


def test_a_damaged_export_is_exported_again(tmp_path):
    export = FakeExport()
    folder = Path(Exports(tmp_path, print, export)(MODEL))
    (folder / "manifest.json").write_text("{")
    Exports(tmp_path, print, export)(MODEL)
    assert len(export.calls) == 2


def test_an_export_that_failed_is_not_tried_again_in_the_same_run(tmp_path):
    export = FakeExport(ExportError("tsm_mbv2 cannot be quantized: use fp32"))
    exports = Exports(tmp_path, print, export)
    for _ in range(2):
        with pytest.raises((ExportError, BenchmarkError), match="cannot be quantized"):
            exports(MODEL)
    assert len(export.calls) == 1


def test_a_package_that_exports_need_is_named(tmp_path):
    exports = Exports(tmp_path, print, FakeExport(ModuleNotFoundError("no torch", name="torch")))
    with pytest.raises(BenchmarkError, match=r"needs torch: pip install 'edgevid\[export\]'"):
        exports(MODEL)
