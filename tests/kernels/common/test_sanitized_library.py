"""The sanitizers detect an access beyond a tensor in the library in ONNX Runtime; a correct one passes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
import sanitized

from edgevid.kernels.common import build

pytestmark = pytest.mark.slow

SOUND = "std::memcpy(target, source, static_cast<size_t>(count) * sizeof(float));"
PLANTED = "for (int64_t i = 0; i <= count; ++i) target[i] = source[i];"
RUN = """
import sys
import conftest, numpy, pathlib
run = conftest.run_op.__wrapped__(pathlib.Path(sys.argv[1]))
x = numpy.ones((4, 8, 5, 7), numpy.float32)
run("TemporalShift", [x], threads=1, frames=2, fold=2, first=1, second=-1)
"""


@pytest.mark.parametrize("body", [SOUND, PLANTED], ids=["sound", "planted"])
def test_a_step_beyond_a_tensor_is_found(tmp_path, monkeypatch, body):
    try:
        environment = sanitized.environment()
    except sanitized.SanitizerError as error:
        pytest.skip(str(error))
    for folder in ("common/ort", "temporal_shift"):
        shutil.copytree(build.SOURCES / folder, tmp_path / "kernels" / folder)
    source = tmp_path / "kernels/temporal_shift/op.cpp"
    assert SOUND in source.read_text()
    source.write_text(source.read_text().replace(SOUND, body))
    monkeypatch.setattr(build, "SOURCES", tmp_path / "kernels")
    monkeypatch.setenv("EDGEVID_CXXFLAGS", environment["EDGEVID_CXXFLAGS"])
    library = build.build(build.find_compiler(), tmp_path / "cache")
    ran = subprocess.run(
        [sys.executable, "-c", RUN, str(library)],
        env={**os.environ, **environment, "PYTHONPATH": os.path.dirname(sanitized.__file__)},
        capture_output=True,
        text=True,
    )
    if body == SOUND:
        assert ran.returncode == 0, ran.stderr
    else:
        assert ran.returncode != 0
        assert "AddressSanitizer: heap-buffer-overflow" in ran.stderr
