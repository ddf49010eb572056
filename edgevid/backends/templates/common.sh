# shellcheck shell=bash
# shellcheck disable=SC2034  # what is set here is read by the scripts that source it
# Sourced by build.sh and run.sh: finds trtexec and learns its version and which options it knows.

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
            return
        fi
    done
    fail "trtexec was not found: $INSTALL; or set TRTEXEC to its path"
}

knows() { printf '%s\n' "$help_text" | grep -q -e "$1"; }

plugin_option() {
    if knows --staticPlugins; then
        echo "--staticPlugins=plugin/libedgevid_plugins.so"
    else
        echo "--plugins=plugin/libedgevid_plugins.so"
    fi
}

choose_precision() {
    precision=${1:-$PRECISION}
    case $precision in
        fp16 | fp32) engine="$MODEL.$precision.engine" ;;
        *) fail "unknown precision '$precision': use fp16 or fp32" ;;
    esac
}
