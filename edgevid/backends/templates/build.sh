#!/usr/bin/env bash
# Build the TensorRT engine on this device. Usage: ./build.sh [fp16|fp32]
# Where the plugins can be built too, the engine with them is kept if it is the faster one here.
# EDGEVID_PLUGINS=0 leaves them out; CUDA_HOME, NVCC, TRT_INCLUDE and TRT_LIB say where CUDA and TensorRT are.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=/dev/null
. ./bundle.env
# shellcheck source=common.sh
. ./common.sh

# build SUFFIX ENGINE [OPTION ...]: the engine of model_<precision>SUFFIX.onnx
build() {
    local suffix=$1 target=$2
    shift 2
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
    if [ "$precision" = fp32 ]; then
        # TF32 would round each factor to 10 bits; fp32 here means what PyTorch computes.
        options+=(--onnx="model_fp32$suffix.onnx" --noTF32)
    elif knows --stronglyTyped; then
        options+=(--onnx="model_fp16$suffix.onnx" --stronglyTyped)
    elif [ "${version%%.*}" -ge 11 ]; then
        options+=(--onnx="model_fp16$suffix.onnx")
    else
        options+=(--onnx="model_fp32$suffix.onnx" --fp16)
    fi
    "$trtexec" "${options[@]}" >build.log 2>&1 || return 1
    # Renamed last, so that an interrupted build leaves no half engine under the final name.
    mv "$target.part" "$target"
}

# median_ms ENGINE [OPTION ...]: the median time of the GPU for one inference
median_ms() {
    local target=$1
    shift
    "$trtexec" --loadEngine="$target" --warmUp=500 --duration=5 --useSpinWait "$@" 2>&1 |
        sed -n 's/.*GPU Compute Time:.*median = \([0-9.]*\) ms.*/\1/p' | head -n 1
}

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

choose_precision "${1:-}"
[ -f "model_$precision.onnx" ] || fail "this bundle has no $precision: manifest.json says why, under not_run"
find_trtexec

echo "TensorRT $version: building $engine; this takes minutes on a small board"
if ! build "" "$engine"; then
    tail -n 20 build.log >&2
    fail "trtexec could not build the engine: the reason stands above, and in build.log"
fi
rm -f "$engine.plugins"
if [ -f "model_$precision.plugin.onnx" ] && [ "${EDGEVID_PLUGINS:-1}" != 0 ]; then
    if ! reason=$(build_plugins); then
        echo "without plugins: $reason"
    elif ! build .plugin plugin.engine "$(plugin_option)"; then
        echo "without plugins: trtexec could not build the engine with them, see build.log"
    else
        plain=$(median_ms "$engine")
        plugin=$(median_ms plugin.engine "$(plugin_option)")
        echo "median on this device: ${plain:-?} ms without plugins, ${plugin:-?} ms with"
        if [ -n "$plain" ] && [ -n "$plugin" ] && awk "BEGIN { exit !($plugin < $plain) }"; then
            : >"$engine.plugins"
            mv plugin.engine "$engine"
        else
            rm plugin.engine
        fi
    fi
fi
echo "built $engine; ./run.sh $precision checks and times it"
