#!/usr/bin/env bash
# Data, clips, training and bundles, in a folder: ./train.sh FOLDER [OPTION OF edgevid train ...]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"
edgevid dataset digits -o streams --streaming --seed 0 --videos 220 40
python "$here/cut.py" streams clips
edgevid train tsm_mbv2_online --dataset clips -o training --width 0.5 --size 32 --short-side 32 \
    --recipe pptsm --mixup 0 --batch 8 --lr 0.015 --dropout 0 --scales 1,0.875 --epochs 12 --keep last --seed 0 "${@:2}"
for target in cpu jetson; do
    edgevid export tsm_mbv2_online --stream --target $target --weights training/checkpoint.pt -o monitor.$target --force
done
