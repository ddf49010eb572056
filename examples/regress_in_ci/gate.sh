#!/usr/bin/env bash
# Is the network of this checkout slower than that of a commit? ./gate.sh COMMIT [OPTION OF edgevid regress ...]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
inside=$(git -C "$here" rev-parse --show-prefix)
work=$(mktemp -d)
trap 'git -C "$here" worktree remove --force "$work/checkout"; rm -rf "$work"' EXIT
git -C "$here" worktree add --quiet --detach "$work/checkout" "$1"
"$work/checkout/$inside/export.sh" "$work/before"
"$here/export.sh" "$work/after"
edgevid regress --baseline "$work/before" --candidate "$work/after" "${@:2}"
