"""A full disk, a read-only folder, a server that goes away: one line, and nothing is lost."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from one_result import result

from edgevid.benchmarks.store import lines, open_store
from edgevid.benchmarks.store.recorder import Recorder
from edgevid.errors import BenchmarkError

FILL = """
import itertools
from one_result import result
from edgevid.benchmarks.store import open_store
from edgevid.errors import BenchmarkError
store = open_store("disk/results.db")
try:
    for number in itertools.count(1):
        store.add(result(number, samples=2000))
except BenchmarkError as error:
    print(error)
found = list(store.results())
assert found == [result(n, samples=2000) for n in range(1, number)] and number > 5, number
"""

OPEN = """
from edgevid.benchmarks.store import open_store
from edgevid.errors import BenchmarkError
try:
    open_store("disk/results.db")
except BenchmarkError as error:
    print(error)
"""


@pytest.fixture
def on_disk(tmp_path: Path, script):
    """``on_disk(options, code)`` runs code with a file system of its own at ``disk``; gives its output."""
    namespace = ("unshare", "--user", "--map-root-user", "--mount")
    if subprocess.run([*namespace, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode:
        pytest.skip("this computer lets no program mount a file system of its own (unshare)")
    (tmp_path / "disk").mkdir()

    def run(options: str, code: str) -> str:
        mount = f'mount -t tmpfs -o {options} none disk && exec "$@"'
        return script(code, prefix=(*namespace, "sh", "-c", mount, "sh"))

    return run


def test_a_full_disk_is_said_and_what_was_added_stays(on_disk):
    (message,) = on_disk("size=300k", FILL).splitlines()
    assert "disk/results.db" in message and "free space" in message


def test_a_folder_that_is_read_only_is_said(on_disk):
    (message,) = on_disk("ro", OPEN).splitlines()
    assert "disk/results.db" in message and "may write to it" in message


def test_results_go_to_a_file_while_the_server_is_away_and_into_the_store_later(server, tmp_path):
    address, unsaved, said = server.url_of("away"), tmp_path / "unsaved.jsonl", []
    recorder = Recorder(address, said.append, unsaved)
    recorder.add(result(1))
    assert said == [] and not unsaved.exists()
    server.stop()
    try:
        recorder.add(result(2))
    finally:
        server.start()
    (message,) = said
    assert str(unsaved) in message and "--import" in message and "\n" not in message
    recorder.add(result(3))
    assert [record for _, record in lines.read(unsaved)] == [result(2)]
    store = open_store(address)
    assert store.import_lines(unsaved) == 1 and recorder.unsaved == 1
    assert list(store.results()) == [result(1), result(3), result(2)]


def test_when_the_file_cannot_be_written_either_both_are_said(tmp_path):
    recorder = Recorder(str(tmp_path / "results.db"), print, tmp_path / "none" / "unsaved.jsonl")
    recorder.add(result(1))
    for another, words in (
        (result(1, threads=1), "has another result"),
        (result(2, power_w=float("nan")), "JSON"),
    ):
        with pytest.raises(BenchmarkError, match=rf"{words}.*unsaved\.jsonl' cannot be written"):
            recorder.add(another)


def test_a_wrong_address_is_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(BenchmarkError, match="check that its folder exists"):
        Recorder(str(tmp_path / "none" / "results.db"), print)


def test_a_line_that_a_kill_cut_short_is_removed_by_the_next(tmp_path):
    file = tmp_path / "results.jsonl"
    for number in (1, 2):
        lines.append(file, result(number))
    file.write_bytes(file.read_bytes() + b'{"half": ' + b"1" * 100_000)
    lines.append(file, result(3))
    assert [json.loads(line) for line in file.read_text().splitlines()] == [result(n) for n in (1, 2, 3)]
