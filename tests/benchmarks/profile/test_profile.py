"""A profile tells the truth: shares, the heaviest layer first, bounds, and what it says where it cannot."""

from __future__ import annotations

import itertools

import pytest

pytest.importorskip("onnx")

from fake_session import FakeSession
from one_graph import GraphSession, with_a_heavy_product

from edgevid.benchmarks.profile import native_roofline, profile, roofline, stages
from edgevid.benchmarks.profile.outputs import Outputs
from edgevid.benchmarks.profile.table import shortened, table
from edgevid.errors import BackendError, BenchmarkError

LIMITS = roofline.Limits(
    1, "avx2", "a test", {"fp32": 50.0}, (1 << 14, 1 << 26), (100.0, 10.0), (200.0, 20.0)
)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The layers of a graph whose product ``heavy`` has nearly all MACs, with made-up limits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roofline, "measure", lambda threads, with_int8: LIMITS)
        path = with_a_heavy_product(tmp_path_factory.mktemp("graph") / "heavy.onnx", 512)
        return profile.layers_of(GraphSession(path), 0.2, lambda phase: None)


def test_the_shares_sum_to_one_and_the_times_to_that_of_the_layers(measured):
    assert sum(layer["share"] for layer in measured["layers"]) == pytest.approx(1)
    times = [layer["time_ms"] for layer in measured["layers"]]
    assert sum(times) == pytest.approx(measured["latency_ms"]["layers"])


def test_the_layer_that_was_made_heavy_is_named_first(measured):
    heaviest = max(measured["layers"], key=lambda layer: layer["time_ms"])
    assert heaviest["name"] == "heavy" and heaviest["share"] > 0.5
    first = table(measured).splitlines()[2]
    assert first.startswith("heavy ") and "MatMul" in first and "compute" in first


def test_times_are_medians_of_the_runs_that_are_kept(measured):
    for layer in measured["layers"]:
        samples = sorted(layer["samples_ms"])
        assert len(samples) == measured["runs"] == len(measured["samples_ms"]["profiled"])
        assert samples[0] <= layer["time_ms"] <= samples[-1]


def test_rates_follow_from_times_and_costs(measured):
    heavy = max(measured["layers"], key=lambda layer: layer["time_ms"])
    assert heavy["gflop_s"] == pytest.approx(2 * 512**3 / heavy["time_ms"] / 1e6)
    assert heavy["gb_s"] == pytest.approx(heavy["bytes"] / heavy["time_ms"] / 1e6)
    assert heavy["bound_ms"] == pytest.approx(512**3 / 50e6)
    assert heavy["roofline"] == pytest.approx(heavy["bound_ms"] / heavy["time_ms"])


def test_what_does_no_work_has_no_bound(measured):
    (reshape,) = [layer for layer in measured["layers"] if layer["op"] == "Reshape"]
    assert reshape["bound"] is None and reshape["roofline"] is None and reshape["gflop_s"] is None


def test_the_trace_is_valid_and_its_totals_are_those_of_the_samples(measured):
    complete = [event for event in measured["trace"] if event["ph"] == "X"]
    assert {event["ph"] for event in measured["trace"]} == {"M", "X"}
    assert all(event["ts"] >= 0 and event["dur"] >= 0 for event in complete)
    assert all({"name", "cat", "pid", "tid"} <= event.keys() for event in complete)
    lanes = {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in measured["trace"]
        if event["name"] == "thread_name"
    }
    assert {(event["pid"], event["tid"]) for event in complete} == set(lanes)
    samples_us = 1000 * sum(sum(layer["samples_ms"]) for layer in measured["layers"])
    layers_us = sum(event["dur"] for event in complete if lanes[event["pid"], event["tid"]] == "layers")
    assert layers_us == pytest.approx(samples_us)


def test_the_table_shows_the_top_and_sums_the_rest(measured):
    text = table(measured, top=1)
    assert f"{len(measured['layers']) - 1} more" in text and "100.0%" in text
    assert "profiling adds" in text and "the runtime's own operators" in text


def test_names_are_cut_at_their_beginning():
    assert shortened("backbone.features.12: shift + conv.0", 30) == "…features.12: shift + conv.0"
    assert shortened("short", 30) == "short"


WHY_NOT = "reference does not time single layers here: export with --backend onnxruntime"


class WithoutProfiler(FakeSession):
    def profiler(self):
        raise BackendError(WHY_NOT)


def test_a_backend_that_times_no_layers_says_so_and_still_has_stages(tmp_path, monkeypatch):
    session = WithoutProfiler(streaming=True)
    session.bundle = type("Bundle", (), {"path": tmp_path})
    result = profile.measure(session, 0.1, None, lambda path, **options: session)
    assert "layers" not in result
    lines = table(result).splitlines()
    assert lines[0] == f"profile: not available, {WHY_NOT}"
    assert lines[1].startswith("stages, ms per frame: decode ")
    found = result["stages"]
    assert found["frames"] == 90 and found["preprocessing"] in ("fast", "exact")
    spans = {stage: 0.0 for stage in stages.NAMES}
    for event in result["trace"]:
        if event["ph"] == "X":
            spans[event["name"]] += event["dur"] / 1000
    for stage in stages.NAMES:
        assert spans[stage] == pytest.approx(found["time_ms"][stage], rel=1e-3)
        assert found["time_ms_per_frame"][stage] == pytest.approx(found["time_ms"][stage] / 90)


def test_a_video_that_cannot_be_read_is_the_reason_why_there_are_no_stages(tmp_path):
    session = WithoutProfiler()
    session.bundle = type("Bundle", (), {"path": tmp_path})
    (tmp_path / "text.mp4").write_text("not a video")
    result = profile.measure(session, 0.1, tmp_path / "text.mp4", lambda path, **options: session)
    assert result["stages"] is None and "text.mp4" in result["why_no_stages"]
    assert "stages: not measured" in table(result)


def test_the_bound_is_the_larger_time():
    bound_ms, bound = LIMITS.bound(50_000_000, "fp32", 1 << 20, 1 << 20)
    assert bound == "compute" and bound_ms == pytest.approx(1)
    bound_ms, bound = LIMITS.bound(0, "fp32", 1 << 25, 1 << 25)
    assert bound == "memory" and bound_ms == pytest.approx((1 << 26) / 10e6)
    assert LIMITS.bound(0, "fp32", 0, 0) == (0.0, None)


def test_bytes_that_are_only_read_move_at_the_rate_of_reads():
    assert LIMITS.memory_ms(1 << 26, 0) == pytest.approx((1 << 26) / 20e6)
    assert LIMITS.memory_ms(0, 1 << 26) == pytest.approx((1 << 26) / 10e6)


def test_what_fits_into_caches_moves_faster():
    assert LIMITS.memory_ms(1 << 13, 1 << 13) == pytest.approx((1 << 14) / 100e6)
    middle = (1 << 19, 1 << 19)
    assert 10 < sum(middle) / LIMITS.memory_ms(*middle) / 1e6 < 100


RESULT = {"model": "heavy", "precision": "fp32", "threads": 1, "environment": {"device": "a CPU"}}


@pytest.mark.slow
def test_the_picture_shows_the_layers(measured):
    pytest.importorskip("matplotlib", reason="pictures need the report extra")
    from edgevid.benchmarks.profile.plot import picture

    image = picture({**RESULT, "profile": measured}, "svg")
    assert image.startswith(b"<?xml") and b"NaN" not in image
    assert b"heavy" in image and b"GFLOP/s" in image


def _boxes(figure):
    """The place of each text that is drawn; those of ticks outside of the axes are not."""
    from matplotlib.axes import Axes
    from matplotlib.text import Text

    hidden = set()
    for axes in figure.findobj(Axes):
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low <= tick.get_loc() <= high:
                    hidden |= {tick.label1, tick.label2}
    texts = [text for text in figure.findobj(Text) if text not in hidden and text.get_visible()]
    return {text: text.get_window_extent().padded(-1) for text in texts if text.get_text().strip()}


@pytest.mark.slow
def test_no_text_of_a_picture_covers_another(measured):
    """With more layers than bars, whose numbers would lie on each other."""
    pytest.importorskip("matplotlib", reason="pictures need the report extra")
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    from edgevid.benchmarks.profile.plot import STYLE, figure_of

    layers = [layer for layer in measured["layers"] if layer["macs"]] * 10
    with pyplot.rc_context(STYLE):
        figure = figure_of({**RESULT, "profile": {**measured, "layers": [dict(item) for item in layers]}})
        figure.canvas.draw()
        boxes = _boxes(figure)
        pyplot.close(figure)
    covered = [
        (one.get_text(), other.get_text())
        for one, other in itertools.combinations(boxes, 2)
        if boxes[one].overlaps(boxes[other])
    ]
    assert len(boxes) > 50 and covered == []


def test_a_picture_of_another_kind_or_in_no_folder_is_refused(tmp_path):
    with pytest.raises(BenchmarkError, match=r"neither an \.svg nor a \.png"):
        Outputs(plot=tmp_path / "profile.pdf").check(1)
    with pytest.raises(BenchmarkError, match="cannot write"):
        Outputs(trace=tmp_path / "none" / "trace.json").check(1)
    with pytest.raises(BenchmarkError, match="not of 2"):
        Outputs(trace=tmp_path / "trace.json").check(2)


def test_without_a_compiler_the_limits_are_those_of_onnxruntime_and_numpy(monkeypatch):
    def no_compiler(isa, threads):
        raise BenchmarkError("no C++ compiler was found")

    monkeypatch.setattr(native_roofline, "Roofline", no_compiler)
    monkeypatch.setattr(roofline, "SIZES", (1 << 14, 1 << 16))
    monkeypatch.setattr(roofline, "SAMPLES", 2)
    limits = roofline.measure(2, with_int8=True)
    assert limits.isa is None and "no C++ compiler" in limits.method and "MatMulInteger" in limits.method
    assert all(peak > 0 for peak in limits.peak_gmacs.values()) and len(limits.copy_gb_s) == 2
    assert limits.bound(1000, "int8", 0, 0)[1] == "compute"


def test_a_longer_line_is_broken_for_a_terminal(measured):
    assert max(map(len, table(measured).splitlines())) <= 150
    assert all(len(line) <= 120 for line in table(measured).splitlines() if line.startswith("bytes:"))


def test_a_gpu_that_works_on_is_said(measured):
    layers = [{**layer, "provider": "CUDAExecutionProvider"} for layer in measured["layers"]]
    text = table({**measured, "layers": layers})
    assert "MatMul on CUDA" in text and "CUDAExecutionProvider may work on after a node returns" in text
