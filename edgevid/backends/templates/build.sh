#!/usr/bin/env bash
# Build the TensorRT engine on this device. Usage: ./build.sh [fp16|fp32]
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=/dev/null
. ./bundle.env
# shellcheck source=common.sh
. ./common.sh

choose_precision "${1:-}"
[ -f "model_$precision.onnx" ] || fail "this bundle has no $precision: manifest.json says why, under not_run"
find_trtexec

options=(--saveEngine="$engine.part" --timingCacheFile=timing.cache)
if knows --memPoolSize; then
    options+=(--memPoolSize=workspace:1024)
else
    options+=(--workspace=1024)
fi
if knows --skipInference; then
    options+=(--skipInference)
elif knows --buildOnly; then
    options+=(--buildOnly)
fi
if [ "$precision" = fp32 ]; then
    # TF32 would round each factor to 10 bits; fp32 here means what PyTorch computes.
    options+=(--onnx=model_fp32.onnx --noTF32)
elif knows --stronglyTyped; then
    options+=(--onnx=model_fp16.onnx --stronglyTyped)
elif [ "${version%%.*}" -ge 11 ]; then
    options+=(--onnx=model_fp16.onnx)
else
    options+=(--onnx=model_fp32.onnx --fp16)
fi

echo "TensorRT $version: building $engine; this takes minutes on a small board"
if ! "$trtexec" "${options[@]}" >build.log 2>&1; then
    tail -n 20 build.log >&2
    fail "trtexec could not build the engine: the reason stands above, and in build.log"
fi
# Renamed last, so that an interrupted build leaves no half engine under the final name.
mv "$engine.part" "$engine"
echo "built $engine; ./run.sh $precision checks and times it"
