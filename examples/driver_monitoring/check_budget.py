"""Does a measured camera keep the budget of latency and energy? Status 1 if not.

edgevid bench BUNDLE --scenario camera --fps 30 --json measured.json
python check_budget.py measured.json --latency-ms 33.3 --late 0.01 --energy-mj 10
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

OVER, WRONG_USE = 1, 2


def over_budget(
    result: dict[str, Any], latency_ms: float, late: float, energy_mj: float | None
) -> tuple[list[str], list[str]]:
    """What was measured, a line each, and which of it is over the budget; raises ``ValueError``."""
    if result.get("scenario") != "camera":
        raise ValueError(f"'{result.get('scenario')}' was measured, not 'camera': use --scenario camera")
    p99, camera = result["latency_ms"]["p99"], result["camera"]
    share = camera["missed_share"]
    energy = result.get("energy_mj_per_frame")
    known = f"{energy:.3g} mJ per frame" if energy is not None else f"unknown, {result['why_no_power']}"
    lines = [
        f"delay p50 {result['latency_ms']['p50']:.2f} ms, p99 {p99:.2f} ms at {camera['fps']:g} frames/s",
        f"frames dropped or later than {camera['deadline_ms']:.1f} ms: {share:.2%}",
        f"energy: {known}",
    ]
    over = []
    if p99 > latency_ms:
        over.append(f"p99 is above {latency_ms:g} ms")
    if share > late:
        over.append(f"more than {late:.2%} of the frames are late")
    if energy_mj is not None and (energy is None or energy > energy_mj):
        over.append(f"energy is {'not measured' if energy is None else f'above {energy_mj:g} mJ per frame'}")
    return lines, over


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measured", type=Path, help="of edgevid bench --json")
    parser.add_argument("--latency-ms", type=float, default=1000 / 30, help="of p99 [default: 33.3]")
    parser.add_argument("--late", type=float, default=0.01, help="share of frames [default: 0.01]")
    parser.add_argument("--energy-mj", type=float, help="per frame [default: none]")
    options = parser.parse_args()
    try:
        results = json.loads(options.measured.read_text())["results"]
        checked = [over_budget(each, options.latency_ms, options.late, options.energy_mj) for each in results]
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"{options.measured}: no result of edgevid bench --json ({error})", file=sys.stderr)
        return WRONG_USE
    for lines, over in checked:
        print(*lines, *(f"OVER BUDGET: {reason}" for reason in over), sep="\n")
    return OVER if any(over for _, over in checked) else 0


if __name__ == "__main__":
    sys.exit(main())
