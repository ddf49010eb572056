#!/usr/bin/env bash
# The bundle of this checkout's network: ./export.sh FOLDER
set -euo pipefail
case $1 in
    /*) output=$1 ;;
    *) output=$PWD/$1 ;;
esac
cd "$(dirname "$0")"
exec edgevid export network:gestures --frames 4 --size 64 --output "$output" --force
