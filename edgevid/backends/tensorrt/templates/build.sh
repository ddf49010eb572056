#!/usr/bin/env bash
# Build the TensorRT engine on this device. Usage: ./build.sh [fp16|fp32|int8]
# Where there are several ways to an engine (with plugins, int8 by a calibration cache), all are built, and the
# fastest one that agrees with PyTorch is kept. EDGEVID_PLUGINS=0 and EDGEVID_CALIBRATION=0 leave those out;
# CUDA_HOME, NVCC, TRT_INCLUDE and TRT_LIB say where CUDA and TensorRT are.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=/dev/null
. ./bundle.env
# shellcheck source=common.sh
. ./common.sh

# build ENGINE OPTION ...: an engine of the model that the options name; what trtexec says goes to build.log
build() {
    local target=$1
    shift
    local options=(--saveEngine="$target.part" --timingCacheFile=timing.cache "$@")
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
    "$trtexec" "${options[@]}" >build.log 2>&1 || return 1
    # Renamed last, so that an interrupted build leaves no half engine under the final name.
    mv "$target.part" "$target"
}

# model_options SUFFIX: for model_<precision>SUFFIX.onnx, or where fp16 is chosen by the builder, fp32's
model_options() {
    if [ "$precision" = fp32 ]; then
        # TF32 would round each factor to 10 bits; fp32 here means what PyTorch computes.
        echo "--onnx=model_fp32$1.onnx --noTF32"
    elif [ "${version%%.*}" -ge 11 ]; then
        echo "--onnx=model_$precision$1.onnx" # every network is strongly typed
    elif is_typed && knows --stronglyTyped; then
        echo "--onnx=model_$precision$1.onnx --stronglyTyped"
    elif [ "$precision" = int8 ]; then
        echo "--onnx=model_int8$1.onnx --int8 --fp16"
    else
        echo "--onnx=model_fp32$1.onnx --fp16"
    fi
}

# is_typed: whether the model of this precision has its own types throughout
is_typed() { [ "$precision" = fp16 ] || { [ "$precision" = int8 ] && [ "$INT8_TYPED" = 1 ]; }; }

# has_cache: whether this TensorRT can quantise the float model by the bundle's calibration cache
has_cache() { [ "$precision" = int8 ] && [ -f calibration.cache ] && knows --calib=; }

build_plugins() {
    local nvcc=${NVCC:-} sm=${COMPUTE_CAPABILITY/./}
    [ -n "$nvcc" ] || nvcc=$(command -v nvcc) || nvcc="${CUDA_HOME:-/usr/local/cuda}/bin/nvcc"
    [ -x "$nvcc" ] || { echo "nvcc is not installed; set CUDA_HOME if it is elsewhere"; return 1; }
    command -v make >/dev/null || { echo "make is not installed"; return 1; }
    case $sm in *[!0-9]*)
        sm=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d .) ;;
    esac
    [ -n "$sm" ] || { echo "nvidia-smi does not tell the GPU's compute capability"; return 1; }
    make -C plugin SM="$sm" NVCC="$nvcc" >plugin.log 2>&1 || { echo "make failed, see plugin.log"; return 1; }
}

# measure ENGINE [OPTION ...]: sets median_ms; 1, and why, if it does not run or does not agree with PyTorch
measure() {
    median_ms=
    run_engine 5 "$@" || { why="it does not run, see run.log"; return 1; }
    why=$(python3 check.py "$precision" 2>&1) || return 1
    median_ms=$(sed -n 's/.*GPU Compute Time:.*median = \([0-9.]*\) ms.*/\1/p' run.log | head -n 1)
    [ -n "$median_ms" ] || { why="trtexec gave no median, see run.log"; return 1; }
}

# contend HOW MARK [OPTION ...]: contender.engine takes the place of $engine if it agrees with PyTorch and is faster
contend() {
    local how=$1 mark=$2
    shift 2
    if [ -f "$engine" ] && [ -z "${best_ms:-}" ]; then
        measure "$engine" || echo "the engine so far is no good ($why)"
        best_ms=$median_ms
    fi
    if ! measure contender.engine "$@"; then
        echo "not $how: $why"
        rm contender.engine
    else
        echo "median on this device: $median_ms ms $how${best_ms:+, $best_ms ms otherwise}"
        if [ -z "${best_ms:-}" ] || awk "BEGIN { exit !($median_ms < $best_ms) }"; then
            best_ms=$median_ms
            mv contender.engine "$engine"
            rm -f "$engine.plugins"
            [ -z "$mark" ] || : >"$engine.$mark"
        else
            rm contender.engine
        fi
    fi
}

choose_precision "${1:-}"
[ -f "model_$precision.onnx" ] || fail "this bundle has no $precision: $(why_not "$precision")"
find_trtexec

echo "TensorRT $version: building $engine; this takes minutes on a small board"
rm -f "$engine" "$engine.plugins"
# shellcheck disable=SC2046  # the options are words without spaces
if ! build "$engine" $(model_options ""); then
    tail -n 20 build.log >&2
    has_cache || fail "trtexec could not build the engine: the reason stands above, and in build.log"
    cp build.log build.pairs.log
    echo "trtexec could not build it (build.pairs.log); another way follows"
fi
if has_cache && [ "${EDGEVID_CALIBRATION:-1}" != 0 ]; then
    # TensorRT passes over a cache whose first line names another version than its own.
    { echo "TRT-$number-EntropyCalibration2"; tail -n +2 calibration.cache; } >calibration.board.cache
    if build contender.engine --onnx=model_fp32.onnx --int8 --fp16 --calib=calibration.board.cache; then
        contend "by the calibration cache" ""
    else
        echo "not by the calibration cache: trtexec could not build the engine, see build.log"
    fi
fi
reason=unbuilt
for form in plugin fused; do # temporal ops as plugins; shifts in one plugin with the convolutions after them
    if [ ! -f "model_$precision.$form.onnx" ] || [ "${EDGEVID_PLUGINS:-1}" = 0 ]; then continue; fi
    how="with plugins"
    [ "$form" = plugin ] || how="with fused plugins"
    if [ "$reason" = unbuilt ]; then
        reason=$(build_plugins) || true
        [ -z "$reason" ] || echo "without plugins: $reason"
    fi
    [ -z "$reason" ] || break
    # shellcheck disable=SC2046
    if ! build contender.engine $(model_options ".$form") "$(plugin_option)"; then
        echo "not $how: trtexec could not build the engine, see build.log"
    else
        contend "$how" plugins "$(plugin_option)"
    fi
done
[ -f "$engine" ] || fail "no engine could be built: see build.log and build.pairs.log"
echo "built $engine; ./run.sh $precision checks and times it"
