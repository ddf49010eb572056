"""A real bundle, small, measured by the real worker."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from edgevid.benchmarks.harness.harness import measure
from edgevid.benchmarks.harness.scenarios import SCENARIOS
from edgevid.errors import BundleError

pytestmark = pytest.mark.slow

pytest.importorskip("torch", reason="making a bundle needs the export extra")

FRAMES = 4  # of the shared bundles

WITHOUT_TORCH = (
    sys.executable,
    "-c",
    "import sys; sys.modules.update(torch=None, onnx=None, onnx_ir=None); "
    "from edgevid.benchmarks.harness.worker import main; sys.exit(main())",
)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_measures_a_bundle_without_torch_or_onnx(clip_bundle, scenario):
    result = measure(clip_bundle.path, scenario, 0.2, threads=1, worker=WITHOUT_TORCH)
    assert (result["scenario"], result["threads"], result["backend"]) == (scenario, 1, "onnxruntime")
    assert result["model"] == "tsm_mbv2" and result["streaming"] is False
    assert result["throughput"]["frames_per_s"] == pytest.approx(FRAMES * result["throughput"]["clips_per_s"])
    assert result["memory_mib"]["peak"] > result["memory_mib"]["process_baseline_mib"]
    assert result["memory_mib"]["weights"] > 1


def test_a_streaming_bundle_is_measured_frame_by_frame(stream_bundle):
    result = measure(stream_bundle.path, duration_s=0.2)
    assert result["streaming"] is True and result["threads"] >= 1
    assert result["throughput"]["frames_per_s"] == pytest.approx(FRAMES * result["throughput"]["clips_per_s"])


def test_a_changed_bundle_is_refused_by_its_hash(clip_bundle, tmp_path):
    copy = tmp_path / "changed"
    shutil.copytree(clip_bundle.path, copy)
    with open(copy / "model.onnx", "ab") as file:
        file.write(b"more")
    with pytest.raises(BundleError, match=r"model\.onnx"):
        measure(copy, duration_s=0.1)


def test_a_missing_bundle_is_refused(tmp_path):
    with pytest.raises(BundleError):
        measure(tmp_path / "none", duration_s=0.1)


def test_the_command_prints_json_alone(clip_bundle):
    command = [sys.executable, "-c", "from edgevid.cli import main; main()", "bench", str(clip_bundle.path)]
    process = subprocess.run(
        [*command, "--scenario", "offline", "--duration", "0.2", "--json"], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    (result,) = json.loads(process.stdout)["results"]
    assert result["bundle"] == str(clip_bundle.path) and result["weights"]["random"]
    assert "measuring" in process.stderr
