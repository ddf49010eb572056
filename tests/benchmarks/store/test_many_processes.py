"""Many processes on one store, and processes that are killed: what was added is there, once and whole."""

from __future__ import annotations

import pytest
from one_result import result

from edgevid.benchmarks.store import open_store

FORKED = """
import os
from one_result import result
from edgevid.benchmarks.store import open_store
import alembic.command, edgevid.benchmarks.store.store  # imported before the forks, which then start together

def fork(count, work):
    children = []
    for number in range(count):
        if not (pid := os.fork()):
            status = 1
            try:
                work(number)
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * count
"""

MIGRATE = FORKED + "fork(4, lambda _: open_store(sys.argv[1]))"

WRITE = (
    FORKED
    + """
def work(writer):
    store = open_store(sys.argv[1])
    for number in range(40):
        store.add(result(writer * 35 + number + 1, samples=50))  # some are those of the next writer too
        if number % 10 == 0:
            list(store.results(samples=False, scenario="server"))
fork(6, work)
"""
)

KILL = (
    FORKED
    + """
import itertools, json, random, signal, time
store, chance, first = open_store(sys.argv[1]), random.Random(0), 1
for _ in range(8):
    read, write = os.pipe()
    if not (writer := os.fork()):
        for number in itertools.count(first):
            os.write(write, f"{store.add(result(number, samples=5000))}\\n".encode())
    os.close(write)
    with open(read) as said:
        said.readline()
        time.sleep(chance.uniform(0, 0.2))
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        added = first + len(said.readlines())
    found = sum(1 for _ in store.results(samples=False))
    # One more may be there: its writer was killed before it could say so.
    assert added <= found <= added + 1, (added, found)
    first = found + 1
print(first - 1)
"""
)


def test_processes_that_create_a_store_at_once_agree(where, script):
    script(MIGRATE, where)
    store = open_store(where)
    store.add(result(1))
    assert list(store.results()) == [result(1)]


@pytest.mark.slow
def test_many_writers_lose_nothing_and_double_nothing(where, script):
    script(WRITE, where)
    expected = [result(number + 1, samples=50) for number in range(5 * 35 + 40)]
    found = sorted(open_store(where).results(), key=lambda one: one["measurement_id"])
    assert found == expected


@pytest.mark.slow
def test_a_writer_killed_at_any_time_leaves_every_result_that_it_had_added(where, script):
    count = int(script(KILL, where))
    assert list(open_store(where).results()) == [
        result(number, samples=5000) for number in range(1, count + 1)
    ]
