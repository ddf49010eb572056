"""A bundle for phones holds what an app needs: a network with kernels inside, their library, a sample."""

from __future__ import annotations

import os
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from elf import needs_of
from tiny_network import Tiny

import edgevid
from edgevid import parity
from edgevid.backends import BACKENDS
from edgevid.backends.onnxruntime import android as ort_mobile
from edgevid.backends.protocol import OpenOptions
from edgevid.errors import BackendError
from edgevid.kernels.common import build
from edgevid.kernels.common.android import build as build_android
from edgevid.specs import Artefact

pytestmark = pytest.mark.slow

LIBRARY = "android/jniLibs/arm64-v8a/libedgevid_kernels.so"
KERNELS = Artefact("model.kernels.ort", "fp32", "", "onnxruntime")


@pytest.fixture
def library(mobile_bundle):
    if shutil.which(build_android.COMPILER) is None:
        pytest.skip(f"no cross-compiler: apt install {build_android.PACKAGE}")
    return mobile_bundle.path / LIBRARY


def test_the_network_with_kernels_is_among_the_files_and_equals_pytorch(mobile_bundle, mobile_stream_bundle):
    for bundle, op in ((mobile_bundle, b"ShiftConv"), (mobile_stream_bundle, b"ShiftConvStep")):
        (artefact,) = (a for a in bundle.manifest.artefacts if a.file == "model.kernels.ort")
        assert artefact.parity.ok
        content = (bundle.path / artefact.file).read_bytes()
        assert op in content
        assert b"TemporalShift" not in content, "every shift is inside a convolution"
        assert b"ReorderInput" not in content, "no layout of this processor"


def test_it_does_not_open_without_the_library(mobile_bundle):
    with pytest.raises(Exception, match="ShiftConv"):
        onnxruntime.InferenceSession(
            mobile_bundle.path / "model.kernels.ort", providers=["CPUExecutionProvider"]
        )


def test_the_streamed_one_feeds_its_states(mobile_stream_bundle):
    clip, expected = parity.load(mobile_stream_bundle.path)
    runner = BACKENDS["onnxruntime"].open_model(KERNELS, mobile_stream_bundle.path, OpenOptions(1))
    stepper = runner.stepper("frame", mobile_stream_bundle.manifest.states)
    logits = np.concatenate([stepper.push(frame[None])["logits"] for frame in clip[0]])
    assert parity.compare({"logits": logits}, expected, 1e-5).ok


def test_the_library_needs_only_what_android_7_has(library):
    needs = needs_of(library)
    assert needs.libraries == {"libc.so", "libdl.so"}
    # A name with a version would show as name@VERSION.
    assert needs.symbols <= {name for names in build_android.BIONIC.values() for name in names}
    assert {"malloc", "dl_iterate_phdr"} <= needs.symbols
    assert not needs.thread_locals, "only Android 10 and later load thread-local storage"
    assert needs.alignments == {16384}


def test_a_library_made_for_linux_would_be_detected(library, tmp_path):
    source = tmp_path / "lib.cpp"
    source.write_text(
        "#include <stdexcept>\nthread_local int calls = 0;\n"
        'extern "C" int call() { if (++calls > 3) throw std::runtime_error("four"); return calls; }\n'
    )
    linux_library = tmp_path / "lib.so"
    subprocess.run([build_android.COMPILER, "-shared", "-fPIC", source, "-o", linux_library], check=True)
    needs = needs_of(linux_library)
    assert "libstdc++.so.6" in needs.libraries
    assert any("@GLIBCXX" in name for name in needs.symbols)
    assert needs.thread_locals


def test_a_function_that_android_lacks_is_an_error_of_the_linker(library, monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path))
    source = tmp_path / "runtime.cpp"
    source.write_text(
        '#pragma GCC visibility push(default)\nextern "C" void quick_exit(int);\n'
        'extern "C" void RegisterCustomOps() { quick_exit(1); }\n'
    )
    monkeypatch.setattr(build_android, "RUNTIME", source)
    monkeypatch.setattr(build, "sources", lambda *patterns: [])
    with pytest.raises(build_android.AndroidBuildError, match="quick_exit"):
        build_android.android_library()


def test_without_the_cross_compiler_the_bundle_says_how_to_build_the_library(monkeypatch, tmp_path):
    monkeypatch.setattr(build_android, "COMPILER", "no-such-compiler")
    message = ort_mobile._write_library(tmp_path)
    install = "no-such-compiler is not installed (Debian: apt install g++-aarch64-linux-gnu)"
    assert f"left out: {install}" in message
    assert "build.sh builds it with Android's NDK" in message
    assert not list(tmp_path.rglob("*.so"))


def test_without_a_compiler_there_is_no_network_with_kernels_and_opening_one_is_refused(
    mobile_bundle, monkeypatch, tmp_path
):
    monkeypatch.setattr(build, "library_or_reason", lambda: "there is no C++ compiler: install g++")
    reason = ort_mobile._write_kernels_model(mobile_bundle.path / "model.edgevid.onnx", tmp_path)
    assert reason.endswith("and there is no C++ compiler: install g++")
    with pytest.raises(BackendError, match=r"needs edgevid's kernels, but .* install g\+\+"):
        BACKENDS["onnxruntime"].open_model(KERNELS, mobile_bundle.path, OpenOptions(1))


def test_a_network_without_temporal_ops_keeps_to_the_standard_file(tmp_path):
    bundle = edgevid.export(Tiny(), "mobile", tmp_path / "bundle", frames=2, size=16)
    assert not (bundle.path / "model.kernels.ort").exists()
    assert any("no temporal op" in sentence for sentence in bundle.manifest.not_run)
    text = (bundle.path / "README.md").read_text()
    assert 'assets.open("model.ort")' in text
    assert "withKernels = false" in text


def test_the_readme_names_the_files_and_the_versions(mobile_bundle, mobile_stream_bundle):
    text = (mobile_bundle.path / "README.md").read_text()
    assert f"onnxruntime-android:{onnxruntime.__version__}" in text
    assert 'assets.open("model.kernels.ort")' in text
    assert "withKernels = true" in text
    for folder in (mobile_bundle.path, mobile_stream_bundle.path):
        for name in ("android/EdgevidNetwork.kt", "android/build.sh", "android/kernels/shift_conv/op.cpp"):
            assert (folder / name).is_file()
    assert "next_state_" in (mobile_stream_bundle.path / "README.md").read_text()


@pytest.fixture
def sources(mobile_bundle, tmp_path):
    """The folder ``android`` of a bundle, without the library."""
    shutil.copytree(mobile_bundle.path / "android", tmp_path / "android")
    shutil.rmtree(tmp_path / "android/jniLibs")
    return tmp_path / "android"


def build_sh(folder, **environment):
    return subprocess.run(
        [str(folder / "build.sh")],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
    )


def test_build_sh_says_what_it_lacks(sources, tmp_path):
    for environment, words in (
        ({}, "set ANDROID_NDK_HOME"),
        ({"ANDROID_NDK_HOME": str(tmp_path)}, "no aarch64-linux-android24-clang++ below"),
    ):
        result = build_sh(sources, **environment)
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert words in line


def test_build_sh_compiles_each_source_and_links_them_with_the_compiler_of_the_ndk(sources, tmp_path):
    """Simulated: a fake of the NDK's compiler records its arguments."""
    ndk = SimpleNamespace(home=tmp_path / "ndk r27", log=tmp_path / "log")
    compiler = ndk.home / "toolchains/llvm/prebuilt/linux-x86_64/bin/aarch64-linux-android24-clang++"
    compiler.parent.mkdir(parents=True)
    compiler.write_text(
        f'#!/bin/sh\necho "$@" >> "{ndk.log}"\n'
        'while [ $# -gt 0 ]; do [ "$1" = -o ] && touch "$2"; shift; done\n'
    )
    compiler.chmod(0o755)
    result = build_sh(sources, ANDROID_NDK_HOME=str(ndk.home))
    assert result.returncode == 0, result.stderr
    *compile_lines, link_line = ndk.log.read_text().splitlines()
    expected = {path.relative_to(build.SOURCES).as_posix() for path in build.sources("*.cpp")}
    assert {line.split("kernels/")[1].split()[0] for line in compile_lines} == expected
    assert len(compile_lines) == len(expected)
    assert all("-DEDGEVID_ISA_NAMESPACE=generic" in line and "-fPIC" in line for line in compile_lines)
    for word in (
        "-shared",
        "-static-libstdc++",
        "max-page-size=16384",
        "-o jniLibs/arm64-v8a/libedgevid_kernels.so",
    ):
        assert word in link_line
    assert link_line.count(".o ") == len(expected)
    assert (sources / "jniLibs/arm64-v8a/libedgevid_kernels.so").is_file()


def test_shellcheck_has_nothing_to_say(sources):
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed: apt install shellcheck")
    result = subprocess.run(["shellcheck", sources / "build.sh"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
