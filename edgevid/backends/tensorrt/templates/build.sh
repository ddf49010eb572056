#!/usr/bin/env bash
# Build the TensorRT engine on this device. Usage: ./build.sh [fp16|fp32|int8]
# Builds every candidate (also with plugins, and int8 with the calibration cache) and keeps the fastest engine that
# agrees with PyTorch. EDGEVID_PLUGINS=0 and EDGEVID_CALIBRATION=0 skip those candidates; CUDA_HOME, NVCC,
# TRT_INCLUDE and TRT_LIB locate CUDA and TensorRT.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=/dev/null
. ./bundle.env
# shellcheck source=common.sh
. ./common.sh

# build ENGINE OPTION ...: build the model that the options name; trtexec's output goes to build.log
build() {
    local target=$1
    shift
    local options=(--saveEngine="$target.part" --timingCacheFile=timing.cache "$@")
    if supports --memPoolSize; then
        options+=(--memPoolSize=workspace:1024)
    else
        options+=(--workspace=1024)
    fi
    if supports --skipInference; then
        options+=(--skipInference)
    elif supports --buildOnly; then
        options+=(--buildOnly)
    fi
    "$trtexec" "${options[@]}" >build.log 2>&1 || return 1
    # Renamed last, so that an interrupted build leaves no partial engine under the final name.
    mv "$target.part" "$target"
}

# model_options SUFFIX: options for model_<precision>SUFFIX.onnx, or fp32's where the builder chooses fp16 layers
model_options() {
    if [ "$precision" = fp32 ]; then
        # TF32 would round each factor to 10 bits; fp32 here means what PyTorch computes.
        echo "--onnx=model_fp32$1.onnx --noTF32"
    elif [ "${version%%.*}" -ge 11 ]; then
        echo "--onnx=model_$precision$1.onnx" # every network is strongly typed
    elif is_typed && supports --stronglyTyped; then
        echo "--onnx=model_$precision$1.onnx --stronglyTyped"
    elif [ "$precision" = int8 ]; then
        echo "--onnx=model_int8$1.onnx --int8 --fp16"
    else
        echo "--onnx=model_fp32$1.onnx --fp16"
    fi
}

# is_typed: whether the model of this precision is strongly typed
is_typed() { [ "$precision" = fp16 ] || { [ "$precision" = int8 ] && [ "$INT8_TYPED" = 1 ]; }; }

# has_cache: whether this TensorRT can quantize the float model with the bundle's calibration cache
has_cache() { [ "$precision" = int8 ] && [ -f calibration.cache ] && supports --calib=; }

build_plugins() {
    local nvcc=${NVCC:-} sm=${COMPUTE_CAPABILITY/./}
    [ -n "$nvcc" ] || nvcc=$(command -v nvcc) || nvcc="${CUDA_HOME:-/usr/local/cuda}/bin/nvcc"
    [ -x "$nvcc" ] || { echo "nvcc is not installed; set CUDA_HOME if it is elsewhere"; return 1; }
    command -v make >/dev/null || { echo "make is not installed"; return 1; }
    case $sm in *[!0-9]*)
        sm=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d .) ;;
    esac
    [ -n "$sm" ] || { echo "nvidia-smi does not report the GPU's compute capability"; return 1; }
    make -C plugin SM="$sm" NVCC="$nvcc" >plugin.log 2>&1 || { echo "make failed, see plugin.log"; return 1; }
}

# measure ENGINE [OPTION ...]: sets median_ms; returns 1 and sets reason if it does not run or agree with PyTorch
measure() {
    median_ms=
    run_engine 5 "$@" || { reason="it does not run, see run.log"; return 1; }
    reason=$(python3 check.py "$precision" 2>&1) || return 1
    median_ms=$(sed -n 's/.*GPU Compute Time:.*median = \([0-9.]*\) ms.*/\1/p' run.log | head -n 1)
    [ -n "$median_ms" ] || { reason="trtexec printed no median, see run.log"; return 1; }
}

# keep_if_faster HOW MARK [OPTION ...]: candidate.engine replaces $engine if it agrees with PyTorch and is faster
keep_if_faster() {
    local how=$1 mark=$2
    shift 2
    if [ -f "$engine" ] && [ -z "${best_ms:-}" ]; then
        measure "$engine" || echo "the first engine is unusable: $reason"
        best_ms=$median_ms
    fi
    if ! measure candidate.engine "$@"; then
        echo "the engine $how is not used: $reason"
        rm candidate.engine
    else
        echo "median on this device: $median_ms ms $how${best_ms:+, $best_ms ms otherwise}"
        if [ -z "${best_ms:-}" ] || awk "BEGIN { exit !($median_ms < $best_ms) }"; then
            best_ms=$median_ms
            mv candidate.engine "$engine"
            rm -f "$engine.plugins"
            [ -z "$mark" ] || : >"$engine.$mark"
        else
            rm candidate.engine
        fi
    fi
}

choose_precision "${1:-}"
[ -f "model_$precision.onnx" ] || fail "this bundle has no $precision model: $(missing_reason "$precision")"
find_trtexec

echo "TensorRT $version: building $engine; this takes minutes on a small board"
rm -f "$engine" "$engine.plugins"
# shellcheck disable=SC2046  # the options are words without spaces
if ! build "$engine" $(model_options ""); then
    tail -n 20 build.log >&2
    has_cache || fail "trtexec could not build the engine: see the reason above, and build.log"
    cp build.log build.qdq.log
    echo "trtexec could not build the model with QDQ nodes (build.qdq.log): trying the calibration cache"
fi
if has_cache && [ "${EDGEVID_CALIBRATION:-1}" != 0 ]; then
    # TensorRT ignores a cache whose first line names another version.
    { echo "TRT-$number-EntropyCalibration2"; tail -n +2 calibration.cache; } >calibration.board.cache
    if build candidate.engine --onnx=model_fp32.onnx --int8 --fp16 --calib=calibration.board.cache; then
        keep_if_faster "with the calibration cache" ""
    else
        echo "the engine with the calibration cache is not used: trtexec could not build it, see build.log"
    fi
fi
no_plugins_reason=unbuilt
for variant in plugin fused; do # temporal ops as plugins; plugins that fuse shifts and convolutions
    if [ ! -f "model_$precision.$variant.onnx" ] || [ "${EDGEVID_PLUGINS:-1}" = 0 ]; then continue; fi
    how="with plugins"
    [ "$variant" = plugin ] || how="with fused plugins"
    if [ "$no_plugins_reason" = unbuilt ]; then
        no_plugins_reason=$(build_plugins) || true
        [ -z "$no_plugins_reason" ] || echo "continuing without plugins: $no_plugins_reason"
    fi
    [ -z "$no_plugins_reason" ] || break
    # shellcheck disable=SC2046
    if ! build candidate.engine $(model_options ".$variant") "$(plugin_option)"; then
        echo "the engine $how is not used: trtexec could not build it, see build.log"
    else
        keep_if_faster "$how" plugins "$(plugin_option)"
    fi
done
[ -f "$engine" ] || fail "no engine could be built: see build.log and build.qdq.log"
echo "built $engine; ./run.sh $precision checks and times it"
