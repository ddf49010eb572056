#!/usr/bin/env bash
# Build the kernels with Android's NDK, into jniLibs/arm64-v8a: ANDROID_NDK_HOME=/path/to/ndk ./build.sh
set -euo pipefail
cd "$(dirname "$0")"

api=24 # Android 7
ndk=${ANDROID_NDK_HOME:-${ANDROID_NDK_ROOT:-}}
if [ -z "$ndk" ]; then
    echo "build.sh: set ANDROID_NDK_HOME to the folder of Android's NDK (Android Studio: SDK Manager, SDK Tools)" >&2
    exit 1
fi
compiler=
for candidate in "$ndk"/toolchains/llvm/prebuilt/*/bin/aarch64-linux-android"$api"-clang++; do
    [ -x "$candidate" ] && compiler=$candidate
done
if [ -z "$compiler" ]; then
    echo "build.sh: no aarch64-linux-android$api-clang++ below $ndk/toolchains: is that the NDK's folder (r19 or later)?" >&2
    exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags=(-std=c++17 -O3 -fPIC -fvisibility=hidden -ffunction-sections -fdata-sections -DEDGEVID_ISA_NAMESPACE=generic)
for source in kernels/common/*/*.cpp kernels/*/*.cpp; do
    echo "compiling $source"
    "$compiler" "${flags[@]}" -c "$source" -o "$work/$(basename "$(dirname "$source")")-$(basename "$source" .cpp).o"
done
library=jniLibs/arm64-v8a/libedgevid_kernels.so
mkdir -p "$(dirname "$library")"
# Pages of 16 KiB since Android 15. The ops live as long as the process, so the library must: nodelete.
"$compiler" -shared -static-libstdc++ -s -Wl,-soname,libedgevid_kernels.so -Wl,--gc-sections -Wl,--exclude-libs,ALL \
    -Wl,-z,nodelete -Wl,-z,max-page-size=16384 "$work"/*.o -o "$library"
echo "built $library"
