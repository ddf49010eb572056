"""Do networks execute more instructions than at the commit before? ``python tests/commit_instructions.py``.

``make test-instructions`` runs it. Both trees export the same small networks, and valgrind counts one
inference of each. More than half a percent in a network, or in a kernel of one, fails, unless a commit since
then gives the reason in a line ``Slower: REASON`` at the end of its message.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tabulate import tabulate

from edgevid.benchmarks.regress import callgrind
from edgevid.benchmarks.regress.callgrind import Counts
from edgevid.benchmarks.regress.instructions import NOISE, metrics_of, overall
from edgevid.benchmarks.regress.metrics import REGRESSION
from edgevid.errors import EdgevidError
from edgevid.host import commands
from edgevid.host.processor import usable_cores

ROOT = Path(__file__).parents[1]
THRESHOLD = 0.005
PACKAGES = ("edgevid", "kernels", "benchmarks", "targets")
WATCHED = (
    "edgevid",
    "kernels",
    "targets",
    "constraints.txt",
    "pyproject.toml",
    ":!edgevid/cli",
    ":!edgevid/video",
)
"""What can change the instructions of a network."""
TRAILER = "Slower"


class Skipped(Exception):
    """There is nothing to compare with, for the reason in the message."""


def git(*arguments: str, root: Path = ROOT) -> str:
    result = commands.run(["git", "-C", str(root), *arguments], timeout_s=30)
    if not result.ok:
        raise Skipped(result.error)
    return result.output


def base_of(root: Path = ROOT) -> str:
    """The commit to compare with: HEAD if files differ from it, else the one before."""
    if git("status", "--porcelain", "--untracked-files=no", "--", *WATCHED, root=root):
        return git("rev-parse", "HEAD", root=root)
    if not git("rev-list", "--max-count=2", "HEAD", root=root).partition("\n")[2]:
        raise Skipped("this clone has no commit before HEAD: git fetch --deepen 1")
    return git("rev-parse", "HEAD^", root=root)


def require_change(base: str, root: Path = ROOT) -> None:
    if not git("diff", "--name-only", base, "--", *WATCHED, root=root):
        raise Skipped(f"nothing that networks execute has changed since {base[:9]}")


def reasons(base: str, root: Path = ROOT) -> list[str]:
    """What commits since ``base`` say of more instructions."""
    trailers = git("log", f"--format=%(trailers:key={TRAILER},valueonly)", f"{base}..HEAD", root=root)
    return [line.strip() for line in trailers.splitlines() if line.strip()]


def extract(base: str, folder: Path, root: Path = ROOT) -> Path:
    """Edgevid's packages as ``base`` has them, in a folder for Python's path."""
    archive = subprocess.run(
        ["git", "-C", str(root), "archive", base, "--", *PACKAGES], capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder)
    for name in PACKAGES[1:]:
        (folder / name).rename(folder / PACKAGES[0] / name)
    return folder


def export(folder: Path, package: Path | None) -> list[Path]:
    """Export the networks by the edgevid in ``package``, None for this one; returns the bundles.

    Raises ``Skipped`` if another edgevid cannot, since its interface may be an older one.
    """
    command = [sys.executable, str(Path(__file__).with_name("commit_networks.py")), str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables(package)
    process = subprocess.run(command, env=environment, capture_output=True, text=True)
    if process.returncode:
        kind = Skipped if package else EdgevidError
        raise kind(f"the networks cannot be exported: {process.stderr.strip().splitlines()[-1]}")
    return sorted(path for path in folder.iterdir() if path.is_dir())


def variables(package: Path | None) -> dict[str, str]:
    return {"PYTHONPATH": str(package)} if package else {}


Job = tuple[Path, "Path | None"]
"""A bundle, and the package that runs it (None: this one)."""


def count_all(jobs: Sequence[Job]) -> list[Counts]:
    with ThreadPoolExecutor(usable_cores()) as pool:
        return list(pool.map(lambda job: callgrind.count(job[0], variables(job[1])), jobs))


def compare(base: str, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The metrics of each network; one that looks slower is counted once more."""
    package = extract(base, folder / "package")
    with ThreadPoolExecutor(2) as pool:
        after, before = pool.map(export, (folder / "after", folder / "before"), (None, package))
    pairs = [((old, package), (new, None)) for old, new in zip(before, after)]
    counts = count_all([job for pair in pairs for job in pair])
    metrics = {}
    for pair, old, new in zip(pairs, counts[::2], counts[1::2]):
        of_network = metrics_of([old], [new], THRESHOLD)
        if overall(of_network) == REGRESSION:
            old_again, new_again = count_all(pair)
            of_network = metrics_of([old, old_again], [new, new_again], THRESHOLD)
        metrics[pair[0][0].name] = of_network
    return metrics


def report(metrics: dict[str, list[dict[str, Any]]]) -> str:
    """A row for each network, and for each kernel in it that changed."""
    rows = []
    for network, (whole, *kernels) in metrics.items():
        changed = [
            kernel for kernel in kernels if kernel["ratio"] is None or abs(kernel["ratio"] - 1) > NOISE
        ]
        for metric in (whole, *changed):
            change = "" if metric["ratio"] is None else f"{metric['ratio'] - 1:+.2%}"
            kernel = metric["name"].partition(".")[2]
            counts = (f"{metric[side]:,.0f}" for side in ("baseline", "candidate"))
            rows.append((network, kernel, *counts, change, metric["verdict"]))
    columns = ("network", "kernel", "before", "now", "change", "verdict")
    return tabulate(rows, columns, colalign=["left", "left", "right", "right", "right", "left"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--base", help="the commit to compare with (HEAD, or HEAD^ if nothing differs)")
    options = parser.parse_args()
    if options.base and not commands.run(["git", "-C", str(ROOT), "rev-parse", "--verify", options.base]).ok:
        parser.error(f"there is no commit '{options.base}': use, for example, --base HEAD^")
    start = time.monotonic()
    try:
        base = options.base or base_of()
        require_change(base)
        with tempfile.TemporaryDirectory(prefix="edgevid-commit-") as folder:
            metrics = compare(base, Path(folder))
    except Skipped as reason:
        print(f"instructions are not compared: {reason}")
        return 0
    except EdgevidError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(report(metrics))
    print(f"compared with {base[:9]} in {time.monotonic() - start:.0f} s")
    worse = [name for name, items in metrics.items() if overall(items) == REGRESSION]
    if not worse:
        return 0
    if accepted := reasons(base):
        print(f"more instructions in {', '.join(worse)}, for the recorded reason: {'; '.join(accepted)}")
        return 0
    print(
        f"error: instructions grew by more than {THRESHOLD:.1%} in {', '.join(worse)}: make them fewer, or "
        f"give the reason in a line '{TRAILER}: REASON' at the end of the commit's message",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
