# shellcheck shell=bash
# shellcheck disable=SC2034  # variables set here are read by the scripts that source it
# Sourced by build.sh and run.sh: finds trtexec, its version and its options; runs engines.

fail() { echo "$(basename "$0"): $1" >&2; exit 2; }

find_trtexec() {
    for candidate in "${TRTEXEC:-}" "$(command -v trtexec || true)" /usr/src/tensorrt/bin/trtexec; do
        if [ -n "$candidate" ] && [ -x "$candidate" ]; then
            trtexec=$candidate
            # The help starts with a banner such as [TensorRT v8201] (8.2.1) or [TensorRT v100300] (10.3.0).
            help_text=$("$trtexec" --help 2>&1 || true)
            number=$(printf '%s\n' "$help_text" | sed -n 's/.*\[TensorRT v\([0-9]*\)\].*/\1/p' | head -n 1)
            case ${#number} in
                4) version="${number%???}.$((10#${number:1:1}))" ;;
                6) version="${number%????}.$((10#${number:2:2}))" ;;
                *) fail "cannot read the TensorRT version of $trtexec: run '$trtexec --help' and look for [TensorRT v...]" ;;
            esac
            is_at_least "$NEEDS" || fail \
                "this network needs TensorRT $NEEDS or later, $NEEDS_REASON, but $version is installed: export it for this board (edgevid list targets), or update JetPack"
            return
        fi
    done
    fail "trtexec was not found: $INSTALL; or set TRTEXEC to its path"
}

# is_at_least MAJOR.MINOR: whether this TensorRT is that version or a later one
is_at_least() {
    [ "${version%%.*}" -gt "${1%%.*}" ] ||
        { [ "${version%%.*}" -eq "${1%%.*}" ] && [ "${version#*.}" -ge "${1#*.}" ]; }
}

supports() { case $help_text in *"$1"*) true ;; *) false ;; esac; }

plugin_option() {
    if supports --staticPlugins; then
        echo "--staticPlugins=plugin/libedgevid_plugins.so"
    else
        echo "--plugins=plugin/libedgevid_plugins.so"
    fi
}

# run_engine SECONDS ENGINE [OPTION ...]: run the bundle's example; writes outputs.json and run.log
run_engine() {
    local seconds=$1 target=$2
    shift 2
    rm -f outputs.json
    "$trtexec" "$@" --loadEngine="$target" --loadInputs="$INPUTS" --exportOutput=outputs.json \
        --warmUp=500 --duration="$seconds" --useSpinWait >run.log 2>&1 && [ -f outputs.json ]
}

choose_precision() {
    precision=${1:-$PRECISION}
    case $precision in
        fp16 | fp32 | int8) engine="$MODEL.$precision.engine" ;;
        *) fail "unknown precision '$precision': use one of $PRECISIONS" ;;
    esac
}

# missing_reason PRECISION: why this bundle does not have it, or how to get it
missing_reason() {
    case " $PRECISIONS " in
        *" $1 "*) echo "manifest.json has the reason, under not_run" ;;
        *) echo "export it with --precision int8 --calibration DIR" ;;
    esac
}
