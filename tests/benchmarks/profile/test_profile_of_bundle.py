"""Real bundles, profiled by the command in its worker process."""

from __future__ import annotations

import json

import pytest

import edgevid
from edgevid.benchmarks.profile import roofline
from edgevid.benchmarks.profile.profile import layers_of
from edgevid.onnxfile.graph import Model

pytestmark = pytest.mark.slow

pytest.importorskip("torch", reason="making a bundle needs the export extra")


@pytest.fixture(scope="module", params=["Shifted", "shifted_causal"])
def bundle(request, exported):
    options = {"stream": True} if request.param == "shifted_causal" else {}
    return exported(f"tiny_network:{request.param}", frames=2, size=32, classes=None, **options)


@pytest.fixture(scope="module")
def profile(bundle):
    return layers_of(edgevid.open(bundle.path, threads=1), 0.1, lambda phase: None)


def test_macs_are_those_of_the_export(bundle, profile):
    assert profile["macs"] == bundle.manifest.macs


def test_each_node_of_the_file_is_in_a_layer_or_says_why_not(bundle, profile):
    file = Model((bundle.path / bundle.manifest.model_file).read_bytes())
    placed = [name for layer in profile["layers"] for name in layer["nodes"]]
    placed += profile["not_run"]
    assert sorted(placed) == sorted(f"{node.name or node.outputs[0]} ({node.op_type})" for node in file.nodes)


def test_the_shift_is_run_by_a_kernel_under_its_path(profile):
    shifts = [layer for layer in profile["layers"] if any("shift" in name for name in layer["nodes"])]
    assert shifts
    assert all("shift" in shift["name"] and shift["ran_by"] == "edgevid kernel" for shift in shifts)


def test_no_layer_is_faster_than_its_bound(profile):
    assert max(layer["roofline"] or 0 for layer in profile["layers"]) < 1.15
    assert min(profile["roofline"]["read_gb_s"]) > 0


def test_without_its_kernel_the_function_body_is_shown_as_the_layer(bundle):
    from edgevid.session import Session

    step, finish = Session(bundle, threads=1, with_kernels=False).profiler()
    for _ in range(3):
        step()
    profile = finish(1)
    bodies = [layer for layer in profile.layers if layer.ran_by == "function body"]
    assert bodies
    assert all(body.name.endswith("shift") and body.op.startswith("TemporalShift") for body in bodies)
    assert sum(layer.macs for layer in profile.layers) == bundle.manifest.macs


def test_the_command_shows_the_table_and_writes_the_trace(exported, run_edgevid, tmp_path):
    bundle = exported("tiny_network:Shifted", frames=2, size=32, classes=None)
    trace, saved = tmp_path / "trace.json", tmp_path / "results.json"
    options = ["--duration", "0.1", "--threads", "1", "--scenario", "single-stream", "--trace", trace]
    result = run_edgevid("bench", bundle.path, *options, "--json", saved)
    assert result.status == 0, result.err
    assert "where the time goes" in result.out and "stages, ms per frame" in result.out
    assert {"decode", "preprocess", "inference"} <= {event["name"] for event in json.loads(trace.read_text())}
    (measured,) = json.loads(saved.read_text())["results"]
    assert "trace" not in measured["profile"]
    assert measured["profile"]["macs"] == bundle.manifest.macs


def test_the_limits_of_the_machine_are_compiled_where_there_is_a_compiler():
    limits = roofline.measure(1, with_int8=True)
    assert limits.isa is not None and limits.method.startswith("compiled loops")
    assert min(*limits.peak_gmacs.values(), *limits.copy_gb_s, *limits.read_gb_s) > 0
