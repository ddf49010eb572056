"""Is the gate right? Trials of it on this machine, about equal sides and about kernels that are slower.

``python -m edgevid.benchmarks.experiments.regress_trials BUNDLE [--pairs 150] [--bursts] [--real 3]``

Pairs of real processes are measured: equal ones, and ones with a slow-down planted in a kernel (``planted``).
Trials of the gate draw from them and decide as it does; the same trials go to two other rules: a plain
threshold of 5 % on the medians of two processes, and pytest-benchmark's ``--benchmark-compare-fail=mean:5%``,
where it is installed. Then the gate itself runs, as often as ``--real`` says. With ``--bursts`` another
process loads a core in bursts of 0.2 to 3 s, with pauses of the same length.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tabulate import tabulate

from edgevid.benchmarks.experiments.planted import PlantedKernels
from edgevid.benchmarks.experiments.study import Study
from edgevid.benchmarks.harness.turns import measure_in_turns, turn_ratios
from edgevid.benchmarks.regress.gate import compare
from edgevid.benchmarks.regress.pairs import Options, Result, is_disturbed
from edgevid.benchmarks.regress.self_test import KINDS, Pool, false_alarms, measure_rounds, summary, trial

BURSTS = """
import random, time
draw = random.Random(0)
while True:
    end = time.monotonic() + draw.uniform(0.2, 3)
    while time.monotonic() < end:
        pass
    time.sleep(draw.uniform(0.2, 3))
"""
LIMIT_PERCENT = 5
Rule = Callable[[Result, Result], bool]


def main() -> None:
    study = Study(__doc__.splitlines()[0], rounds=0)
    study.parser.set_defaults(threads=1)
    study.parser.add_argument("bundle", help="a bundle for this machine, of a network with shifts")
    study.parser.add_argument("--pairs", type=int, default=150, help="of processes, of each kind (150)")
    study.parser.add_argument("--bursts", action="store_true", help="load a core in bursts meanwhile")
    study.parser.add_argument("--trials", type=int, default=1000, help="drawn from them, of each kind (1000)")
    study.parser.add_argument("--real", type=int, default=0, help="runs of the gate itself, of each kind (0)")
    study.parser.add_argument("--budget", type=float, default=60.0, help="of a trial, in seconds (60)")
    study.run(lambda options: measure_all(study, options))


def measure_all(study: Study, options: argparse.Namespace) -> None:
    gate = Options(budget_s=options.budget, threads=options.threads)
    path = Path(options.bundle)
    pool: Pool = {kind: [] for kind in KINDS}
    with PlantedKernels(path, options.threads) as planted, bursts() if options.bursts else nothing():
        for rounds in measure_rounds(pool, path, gate, planted.worker):
            print(f"{rounds}/{options.pairs} rounds", end="\r", file=sys.stderr, flush=True)
            if rounds >= options.pairs:
                break
        print_pool(study, pool)
        print_trials(study, pool, gate, options.trials)
        print_real(study, path, planted, gate, options.real)


@contextlib.contextmanager
def bursts() -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", BURSTS]) as load:
        try:
            yield
        finally:
            load.kill()


nothing = contextlib.nullcontext


def print_pool(study: Study, pool: Pool) -> None:
    rows = []
    for kind, pairs in pool.items():
        ratios = [statistics.median(turn_ratios(*pair.results)) for pair in pairs]
        study.add(f"latency ratio, {kind:.0%} slower", ratios, seconds=[pair.seconds for pair in pairs])
        disturbed = statistics.mean(any(map(is_disturbed, pair.results)) for pair in pairs)
        spread = statistics.stdev(ratios)
        cells = (f"{statistics.median(ratios):.4f}", f"{spread:.2%}", f"{disturbed:.0%}")
        rows.append((f"{kind:.0%}", len(pairs), *cells, f"{pairs[0].seconds:.1f}"))
    print(tabulate(rows, ("slower", "pairs", "median ratio", "its spread", "disturbed", "s per pair")), "\n")


def print_trials(study: Study, pool: Pool, gate: Options, count: int) -> None:
    rows = []
    for kind in KINDS:
        trials = [trial(pool, kind, gate, seed) for seed in range(count)]
        shares = false_alarms(trials) if kind == 0 else summary(trials)
        others = {name: share_failed(pool, kind, rule, count) for name, rule in rules().items()}
        study.add(f"trials, {kind:.0%} slower", [], gate=shares, others=others)
        caught = shares["share"] if kind == 0 else shares["caught"]
        cells = [f"{value:.1%}" for value in (caught, shares["passed"], shares["inconclusive"])]
        times = [f"{shares['pairs']:.0f}", f"{shares['seconds']:.0f}"]
        rows.append([f"{kind:.0%}", *cells, *times, *(f"{share:.1%}" for share in others.values())])
    headers = ("slower", "regression", "pass", "inconclusive", "pairs", "s", *rules())
    print(tabulate(rows, headers, disable_numparse=True), "\n")


def rules() -> dict[str, Rule]:
    """Whether a candidate fails, of two results that were measured at different times."""

    def threshold(before: Result, after: Result) -> bool:
        return after["latency_ms"]["p50"] > before["latency_ms"]["p50"] * (1 + LIMIT_PERCENT / 100)

    found: dict[str, Rule] = {f"plain {LIMIT_PERCENT}% of p50": threshold}
    with contextlib.suppress(ImportError):
        from pytest_benchmark.utils import parse_compare_fail

        check = parse_compare_fail(f"mean:{LIMIT_PERCENT}%")
        found["pytest-benchmark, mean:5%"] = lambda before, after: bool(
            check.fails(current=after["latency_ms"], compared=before["latency_ms"])
        )
    return found


def share_failed(pool: Pool, kind: float, rule: Rule, count: int) -> float:
    """Of trials that compare a run with one kept from another time, as these tools do."""
    draw = random.Random(0)
    fails = 0
    for _ in range(count):
        earlier, later = draw.sample(range(len(pool[kind])), 2)
        fails += rule(pool[kind][earlier].results[0], pool[kind][later].results[1])
    return fails / count


def print_real(study: Study, path: Path, planted: PlantedKernels, gate: Options, count: int) -> None:
    for kind in KINDS if count else ():

        def measure(paths, seconds, threads, draw, kind=kind):
            workers = [planted.worker(0.0), planted.worker(kind)]
            return measure_in_turns(paths, seconds, threads, draw, workers)

        verdicts = [compare(path, path, gate, measure=measure) for _ in range(count)]
        study.add(f"runs of the gate, {kind:.0%} slower", [verdict["seconds"] for verdict in verdicts])
        names = Counter(verdict["verdict"] for verdict in verdicts)
        said = ", ".join(f"{number} {name}" for name, number in names.items())
        pairs = [f"{verdict['pairs']} in {verdict['seconds']:.0f} s" for verdict in verdicts]
        print(f"the gate itself, {kind:.0%} slower: {said} (pairs: {', '.join(pairs)})", flush=True)


if __name__ == "__main__":
    main()
