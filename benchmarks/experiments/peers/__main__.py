"""The command ``python -m edgevid.benchmarks.experiments.peers``."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from edgevid.benchmarks.experiments.peers import report
from edgevid.benchmarks.experiments.peers.case_runner import WARM_UP_ROUNDS, Options, run_case
from edgevid.benchmarks.experiments.peers.cases import MODELS, MODES, PEERS, Case, candidates_of
from edgevid.benchmarks.experiments.peers.executorch_env import make_environment
from edgevid.errors import BenchmarkError, EdgevidError
from edgevid.host.environment import observe


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m edgevid.benchmarks.experiments.peers",
        description="Measure edgevid and its peers, interleaved, on the same weights and input.",
    )
    for name, choices in (("models", MODELS), ("modes", MODES), ("peers", PEERS)):
        parser.add_argument(
            f"--{name}", type=_list_of(choices), default=tuple(choices), metavar="A,B",
            help=f"of {', '.join(choices)} (all)",
        )  # fmt: skip
    at_least_one = _at_least(1)
    parser.add_argument("--pairs", type=at_least_one, default=20, help="rounds, one ratio in each (20)")
    parser.add_argument("--warm-ups", type=_at_least(0), default=WARM_UP_ROUNDS, help="rounds before (2)")
    parser.add_argument("--threads", type=at_least_one, default=2, help="of each candidate (2)")
    parser.add_argument("--frames", type=at_least_one, default=8, help="of the clip (8)")
    parser.add_argument("--size", type=at_least_one, default=224, help="height and width in pixels (224)")
    parser.add_argument("--seed", type=_at_least(0), default=0, help="of weights, input and orders (0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples to a file")
    executorch = parser.add_mutually_exclusive_group()
    executorch.add_argument(
        "--executorch-python", metavar="PATH", help="interpreter of an environment with executorch"
    )
    executorch.add_argument(
        "--make-executorch-env", type=Path, metavar="DIR", help="make such an environment with pip, or use it"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that workers end and files are deleted
    try:
        run(args)
    except EdgevidError as error:
        print(f"edgevid: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("edgevid: interrupted; every worker has been ended", file=sys.stderr)
        return 130
    return 0


def run(args: argparse.Namespace) -> None:
    """Measure every case, write the file after each, and print the report at the end."""
    if args.json and not args.json.resolve().parent.is_dir():
        raise BenchmarkError(f"the folder '{args.json.parent}' for --json does not exist: create it first")
    python = args.executorch_python
    if args.make_executorch_env and "executorch" in args.peers:
        python = make_environment(args.make_executorch_env, _log)
    options = Options(args.pairs, args.threads, args.warm_ups, executorch_python=python)
    recorded = {**asdict(options), "weights_seed": args.seed, "peers": list(args.peers)}
    del recorded["executorch_python"]  # a path of this machine
    environment, cases = observe(), []
    content = report.document(environment, recorded, cases)
    for model in args.models:
        for mode in args.modes:
            case = Case(model, mode, args.frames, args.size, seed=args.seed)
            cases.append(run_case(case, candidates_of(case, args.peers), options, _log))
            content = report.document(environment, recorded, cases)
            if args.json:
                report.save(args.json, content)
    print(report.text(content))


def _log(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _list_of(choices: Sequence[str]):
    def names(text: str) -> tuple[str, ...]:
        selection = tuple(dict.fromkeys(text.split(",")))
        unknown = [name for name in selection if name not in choices]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown name '{unknown[0]}': use {', '.join(choices)}")
        return selection

    return names


def _at_least(minimum: int):
    def number(text: str) -> int:
        value = int(text)
        if value < minimum:
            raise argparse.ArgumentTypeError(f"must be at least {minimum}")
        return value

    return number


if __name__ == "__main__":
    sys.exit(main())
