"""The files of a bundle for phones run on arm64: the portable one alone, the other with the library.

The library is the bundle's for Android; of bionic there is only the name: glibc stands behind it here.
"""

from __future__ import annotations

import platform

import numpy as np
import onnxruntime
import pytest

import edgevid
from edgevid import parity
from edgevid.backends.onnxruntime.runner import OnnxRuntimeRunner

LIBRARY = "android/jniLibs/arm64-v8a/libedgevid_kernels.so"
TOLERANCE = 1e-4

pytestmark = pytest.mark.skipif(
    platform.machine() != "aarch64", reason="this computer is not arm64: make test-arm64-mobile makes one"
)


def run_clip(bundle, file: str, configure=lambda options: None, threads: int = 2):
    clip, expected = parity.load(bundle.path)
    outputs = OnnxRuntimeRunner(bundle.path / file, threads, (), configure).run({"clip": clip})
    return parity.compare(outputs, expected, TOLERANCE)


def with_library(bundle):
    return lambda options: options.register_custom_ops_library(str(bundle.path / LIBRARY))


def push_frames(bundle, runner) -> parity.Parity:
    clip, expected = parity.load(bundle.path)
    stepper = runner.stepper("frame", bundle.manifest.states)
    outputs = np.concatenate([stepper.push(frame[None])["logits"] for frame in clip[0]])
    return parity.compare({"logits": outputs}, expected, TOLERANCE)


@pytest.mark.parametrize("file", ["model.ort", "model.onnx", "model.edgevid.onnx"])
def test_the_portable_files_run_without_the_library(mobile_bundle, file):
    assert run_clip(mobile_bundle, file).ok


@pytest.mark.parametrize("threads", [1, 2])
def test_the_network_with_kernels_runs_with_the_library(mobile_bundle, bionic, threads):
    assert run_clip(mobile_bundle, "model.kernels.ort", with_library(mobile_bundle), threads).ok
    with pytest.raises(Exception, match="ShiftConv"):
        run_clip(mobile_bundle, "model.kernels.ort")


def test_a_stream_runs_both_ways(mobile_stream_bundle, bionic):
    for file, configure in (
        ("model.ort", lambda options: None),
        ("model.kernels.ort", with_library(mobile_stream_bundle)),
    ):
        assert push_frames(
            mobile_stream_bundle, OnnxRuntimeRunner(mobile_stream_bundle.path / file, 2, (), configure)
        ).ok


def test_an_error_inside_the_library_is_caught_there_and_reported(mobile_bundle, bionic, monkeypatch):
    """C++ exceptions are unwound by the runtime inside the library, with bionic's functions alone."""
    options = onnxruntime.SessionOptions()
    monkeypatch.setenv("EDGEVID_ISA", "neon")
    with pytest.raises(Exception, match="EDGEVID_ISA=neon is unknown"):
        options.register_custom_ops_library(str(mobile_bundle.path / LIBRARY))
    monkeypatch.delenv("EDGEVID_ISA")
    options.register_custom_ops_library(str(mobile_bundle.path / LIBRARY))


def test_edgevid_opens_the_bundle_with_kernels_compiled_there(mobile_bundle):
    session = edgevid.open(mobile_bundle.path)
    assert session.kernels == ("ShiftConv x10",)
    clip, expected = parity.load(mobile_bundle.path)
    assert parity.compare(session.run(clip), expected, TOLERANCE).ok
