"""The Kotlin sample compiles and prepares frames correctly, on Java with fakes of Android's libraries
(simulated).

It needs Debian's kotlin, libandroid-json-java and default-jdk-headless, installed below
``EDGEVID_TEST_KOTLIN`` (default: ``/``).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

FAKES = Path(__file__).parent / "android_fakes"
SHARE = Path(os.environ.get("EDGEVID_TEST_KOTLIN", "/")) / "usr/share"
LIBRARIES = SHARE / "kotlin/kotlinc/lib"
JSON = SHARE / "java/com.android.json.jar"
SIZE, SHORT_SIDE, STEP = 32, 40, 3
WIDTH, HEIGHT = 160, SHORT_SIDE * STEP
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

pytestmark = pytest.mark.skipif(
    not (LIBRARIES / "kotlin-compiler.jar").exists() or not JSON.exists() or not shutil.which("javac"),
    reason="no Kotlin: apt install kotlin libandroid-json-java default-jdk-headless",
)


@pytest.fixture(scope="module")
def classes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("classes")
    sample = files("edgevid.backends.onnxruntime") / "templates" / "EdgevidNetwork.kt"
    driver = FAKES / "Drive.java"
    sources = [path for path in FAKES.rglob("*.java") if path != driver]
    java("javac", "-d", folder, *sources)
    compiler = ["-cp", f"{LIBRARIES}/*:{SHARE}/java/*", f"-Dkotlin.home={LIBRARIES.parent}", "-Xmx700M"]
    options = ["-jvm-target", "1.8", "-cp", class_path(folder), "-d", folder]
    java("java", *compiler, "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", *options, sample)
    java("javac", "-d", folder, "-cp", class_path(folder), driver)
    return folder


def class_path(folder: Path) -> str:
    libraries = (LIBRARIES / f"kotlin-stdlib{part}.jar" for part in ("", "-jdk7"))
    return ":".join(map(str, (folder, JSON, *libraries)))


def java(*command) -> subprocess.CompletedProcess:
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def drive(classes, tmp_path, shape, frames, turn=0, every_ms=33, states=(), color="RGB"):
    """The sample's output for each frame, and the lines it printed about the states."""
    recipe = {"short_side": SHORT_SIDE, "mean": list(MEAN), "std": list(STD), "color": color}
    manifest = {"inputs": [{"name": "x", "shape": shape}], "states": list(states), "preprocessing": recipe}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "frames").write_bytes(b"".join(plane.tobytes() for frame in frames for plane in frame))
    files = (tmp_path / "manifest.json", tmp_path / "frames")
    result = java("java", "-cp", class_path(classes), "Drive", *files, WIDTH, HEIGHT, turn, every_ms)
    lines = [None if line == "null" else np.array(line.split(), float) for line in result.stdout.splitlines()]
    return lines, result.stderr.splitlines()


def noise(count):
    """Camera frames: y, and u and v at half its size."""
    random = np.random.default_rng(1)
    shapes = ((HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2), (HEIGHT // 2, WIDTH // 2))
    return [[random.integers(0, 256, shape, np.uint8) for shape in shapes] for _ in range(count)]


def prepared(frame, turn):
    """The same in NumPy, for a center crop whose pixels are squares of ``STEP`` camera pixels."""
    y, u, v = (
        np.rot90(plane, -turn // 90)
        for plane in (frame[0], *(p.repeat(2, 0).repeat(2, 1) for p in frame[1:]))
    )
    yuv = np.stack([y, u, v]).astype(float)
    top, left = ((length - SIZE * STEP) // 2 for length in y.shape)
    center = yuv[:, top : top + SIZE * STEP, left : left + SIZE * STEP]
    y, u, v = center.reshape(3, SIZE, STEP, SIZE, STEP).mean((2, 4)) - np.array([0, 128, 128])[:, None, None]
    rgb = np.stack([y + 1.402 * v, y - 0.344136 * u - 0.714136 * v, y + 1.772 * u]).clip(0, 255) / 255
    return (rgb - MEAN[:, None, None]) / STD[:, None, None]


def test_bgr_puts_blue_first_and_normalizes_in_that_order(classes, tmp_path):
    (frame,) = frames = noise(1)
    (output,), _ = drive(classes, tmp_path, [1, 3, SIZE, SIZE], frames, color="BGR")
    rgb = prepared(frame, 0) * STD[:, None, None] + MEAN[:, None, None]
    expected = (rgb[::-1] - MEAN[:, None, None]) / STD[:, None, None]
    np.testing.assert_allclose(output.reshape(3, SIZE, SIZE), expected, atol=1e-5)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_frame_is_turned_upright_scaled_cropped_and_normalized(classes, tmp_path, turn):
    (frame,) = frames = noise(1)
    (output,), _ = drive(classes, tmp_path, [1, 3, SIZE, SIZE], frames, turn)
    np.testing.assert_allclose(output.reshape(3, SIZE, SIZE), prepared(frame, turn), atol=1e-5)
    other = prepared(frame, (turn + 90) % 360)
    assert np.abs(output.reshape(3, SIZE, SIZE) - other).max() > 1


def test_states_are_zeros_at_first_and_then_fed_back(classes, tmp_path):
    state = {"input": "state_0", "output": "next_state_0", "shape": [1, 2, 4, 4]}
    _, lines = drive(classes, tmp_path, [1, 3, SIZE, SIZE], noise(3), states=[state])
    assert lines == ["state_0 0.0 of 32", "state_0 1.0 of 32", "state_0 2.0 of 32"]


def test_a_clip_is_the_latest_frames_spread_over_two_seconds(classes, tmp_path):
    frames = noise(9)
    outputs, _ = drive(classes, tmp_path, [1, 2, 3, SIZE, SIZE], frames, every_ms=300)
    # A clip of two frames takes one each second: those at 0, 1.2 and 2.4 s.
    assert [output is not None for output in outputs] == [False] * 4 + [True] + [False] * 3 + [True]
    for output, indices in ((outputs[4], (0, 4)), (outputs[8], (4, 8))):
        expected = np.stack([prepared(frames[index], 0) for index in indices])
        np.testing.assert_allclose(output.reshape(expected.shape), expected, atol=1e-5)
