#!/usr/bin/env bash
# Run the engine on the bundle's example, compare it with PyTorch, and time it. Usage: ./run.sh [fp16|fp32|int8]
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=/dev/null
. ./bundle.env
# shellcheck source=common.sh
. ./common.sh

choose_precision "${1:-}"
find_trtexec
[ -f "$engine" ] || fail "there is no $engine yet: run ./build.sh $precision first"

options=()
# build.sh leaves this mark on an engine with plugins.
[ ! -f "$engine.plugins" ] || options+=("$(plugin_option)")
run_engine 10 "$engine" "${options[@]}" || {
    tail -n 20 run.log >&2
    fail "trtexec could not run the engine: see the reason above, and run.log"
}
grep -E 'Throughput|Latency:|GPU Compute Time:' run.log || true
python3 check.py "$precision"
