"""``edgevid bench``: what it refuses, what it prints, and what it keeps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from one_bundle import write_bundle
from one_video import write_video

import edgevid
from edgevid.benchmarks.harness import harness
from edgevid.benchmarks.harness.protocol import Progress, Settings
from edgevid.benchmarks.harness.scenarios import SCENARIOS
from edgevid.cli import main
from edgevid.errors import BenchmarkError, ExportError

RESULT = {
    "model": "tsm_mbv2",
    "target": "cpu",
    "backend": "onnxruntime",
    "precision": "fp32",
    "scenario": "single-stream",
    "threads": 2,
    "latency_ms": {"mean": 20.5, "p50": 20.25, "p90": 22.0, "p99": 30.0},
    "throughput": {"clips_per_s": 48.78, "frames_per_s": 390.2},
    "memory_mib": {"peak": 123.4, "weights": 9.5},
    "streaming": True,
    "power_w": None,
    "why_no_power": "no sensor was found",
    "weights": {"source": "seed 0", "random": True},
    "warnings": ["the samples spread widely"],
    "environment": {"device": "a simulated CPU"},
    "samples_ms": [20.25, 22.0],
    "bundle": "",
}


class Measurements:
    """A fake ``harness.measure``: records the calls, and returns, fails or is interrupted as configured."""

    def __init__(self) -> None:
        self.calls: list[dict] = []
        self.devices: list[str] = []
        self.at: dict[int, BaseException] = {}
        self.before_each = lambda: None

    def __call__(self, bundle, scenario, duration_s, threads, progress, device, settings, pinned, power):
        self.before_each()
        self.calls.append(
            {"bundle": bundle, "scenario": scenario, "duration_s": duration_s, "threads": threads}
        )
        self.settings, self.pinned, self.power = settings, pinned, power
        self.devices.append(device)
        if error := self.at.get(len(self.calls)):
            raise error
        progress(Progress("opening"))
        progress(Progress("measuring", 0.1, duration_s or 10.0, 20.25))
        return {**RESULT, "scenario": scenario, "bundle": bundle}


@pytest.fixture
def measurements(monkeypatch) -> Measurements:
    fake = Measurements()
    monkeypatch.setattr(harness, "measure", fake)
    return fake


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    return str(write_bundle(tmp_path / "fake.cpu").path)


@pytest.fixture
def run(capsys):
    """``run("bench", ...)`` -> exit status, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(["bench", *arguments])
        captured = capsys.readouterr()
        return end.value.code, captured.out, captured.err

    return call


def test_a_table_shows_the_numbers_the_device_the_power_line_and_the_warnings(run, bundle, measurements):
    status, out, err = run(bundle, "--scenario", "single-stream")
    assert status == 0
    numbers = ("p50 ms", "20.25", "48.78", "123.4")
    lines = ("a simulated CPU", "no sensor was found", "is one pushed frame", "spread widely")
    for text in (*numbers, *lines):
        assert text in out
    assert "measuring 0.1/10.0 s, p50 20.25 ms" in err


def test_latency_and_throughput_are_measured_unless_a_scenario_is_named(run, bundle, measurements):
    run(bundle)
    assert [call["scenario"] for call in measurements.calls] == ["single-stream", "offline"]


def test_options_reach_the_harness(run, bundle, measurements):
    run(bundle, "--scenario", "offline", "--duration", "2.5", "--threads", "3")
    assert measurements.calls == [{"bundle": bundle, "scenario": "offline", "duration_s": 2.5, "threads": 3}]


@pytest.mark.parametrize("how", [["--json"], ["--json", "-"], ["--json=-"]])
def test_json_without_a_file_is_alone_on_standard_output(run, bundle, measurements, how):
    status, out, _ = run(bundle, "--scenario", "offline", *how)
    document = json.loads(out)
    assert status == 0 and document["schema"] == 1
    assert document["results"][0]["samples_ms"] == [20.25, 22.0]
    assert document["results"][0]["bundle"] == bundle


def test_json_is_saved_after_each_measurement(run, bundle, measurements, tmp_path):
    file, counts = tmp_path / "results.json", []

    def look() -> None:
        counts.append(len(json.loads(file.read_text())["results"]) if file.exists() else 0)

    measurements.before_each = look
    assert run(bundle, bundle, "--json", str(file))[0] == 0
    assert counts == [0, 1, 2, 3]
    assert len(json.loads(file.read_text())["results"]) == 4


def test_an_error_in_a_later_measurement_keeps_the_earlier_ones(run, bundle, measurements, tmp_path):
    file = tmp_path / "results.json"
    measurements.at[2] = BenchmarkError("the measuring process was killed: close other programs")
    status, out, err = run(bundle, "--json", str(file))
    assert status == 2 and "was killed" in err and "Traceback" not in err
    assert "20.25" in out
    assert len(json.loads(file.read_text())["results"]) == 1


def test_ctrl_c_says_what_was_kept(run, bundle, measurements, tmp_path):
    file = tmp_path / "results.json"
    measurements.at[2] = KeyboardInterrupt()
    status, _, err = run(bundle, "--json", str(file))
    assert status == 130 and f"interrupted after 1 measurement(s); results are in '{file}'" in err
    assert "nothing was changed" not in err


def test_a_crash_while_saving_leaves_the_old_file(tmp_path, monkeypatch):
    from edgevid.benchmarks.harness import store

    file = tmp_path / "results.json"
    results = store.ResultFile(file)
    results.save([RESULT])
    before = file.read_text()
    with pytest.raises(ValueError):
        results.save([{"latency_ms": float("nan")}])
    assert file.read_text() == before and list(tmp_path.iterdir()) == [file]


def refused_before_measuring(run, measurements, *arguments: str) -> str:
    status, out, err = run(*arguments)
    assert status == 2 and out == "" and measurements.calls == []
    assert err.count("\n") == 1 and "Traceback" not in err
    return err


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_a_file_that_cannot_be_written_is_refused_first(run, bundle, measurements, tmp_path, option):
    err = refused_before_measuring(run, measurements, bundle, option, str(tmp_path / "no" / "such.file"))
    assert "No such file or directory" in err


def test_a_board_over_rpc_is_measured_in_the_scenario_that_it_can_time(run, bundle, measurements):
    status, _, _ = run(bundle, "--device", "rpc://10.0.0.2:9190/pi5")
    assert status == 0
    assert [call["scenario"] for call in measurements.calls] == ["single-stream"]
    assert measurements.devices == ["rpc://10.0.0.2:9190/pi5"]


def test_a_device_file_is_not_replaced(run, bundle, measurements):
    assert "--json -" in refused_before_measuring(run, measurements, bundle, "--json", "/dev/null")
    assert not Path("/dev/null").is_file()


def test_a_bundle_that_json_swallowed_is_given_back(run, bundle, measurements):
    err = refused_before_measuring(run, measurements, "--json", bundle)
    assert f"edgevid bench {bundle} --json" in err


def test_a_model_that_json_swallowed_is_given_back(run, measurements):
    assert "edgevid bench tsm_mbv2 --json" in refused_before_measuring(
        run, measurements, "--json", "tsm_mbv2"
    )


def test_options_of_single_scenarios_reach_the_harness(run, bundle, measurements, tmp_path):
    write_video(tmp_path / "v.mp4", 0)
    options = ("--streams", "3", "--latency-bound", "40", "--fps", "12.5", "--deadline", "80", "--seed", "7")
    run(bundle, "--scenario", "camera", *options, "--video", str(tmp_path / "v.mp4"), "--no-pin")
    assert measurements.settings == Settings(3, 40.0, str(tmp_path / "v.mp4"), 12.5, 80.0, 7)
    assert measurements.pinned is False


@pytest.mark.parametrize("source", ["auto", "none", "rapl", "csv:watts.csv", "http://meter/watts"])
def test_the_source_of_power_reaches_the_measurement(run, bundle, measurements, source):
    run(bundle, "--power", source)
    assert measurements.power == source


@pytest.mark.parametrize(
    ("source", "words"),
    [("rapel", "unknown probe 'rapel': did you mean rapl"), ("usb:1", "use csv:PATH, serial:DEVICE[:BAUD]")],
)
def test_a_source_of_power_that_is_none_is_refused_at_once(run, bundle, measurements, source, words):
    assert words in run(bundle, "--power", source)[2]
    assert measurements.calls == []


def test_a_page_of_the_results_is_written(run, bundle, measurements, tmp_path):
    status, _, err = run(bundle, "--scenario", "offline", "--html", str(tmp_path / "page.html"))
    assert status == 0, err
    page = (tmp_path / "page.html").read_text()
    assert "<title>edgevid bench</title>" in page and "the samples spread widely" in page


@pytest.mark.parametrize("name", ["burst", "single_stream"])
def test_a_scenario_that_does_not_exist_names_those_that_do(run, bundle, measurements, name):
    err = refused_before_measuring(run, measurements, bundle, "--scenario", name)
    assert " or ".join(SCENARIOS) in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{bundle}", "--device", "jetson"], "--device local"),
        (["{bundle}", "--device", "jetson"], "--device rpc://HOST:PORT/KEY"),
        (["{bundle}", "--device", "rpc://10.0.0.2:9190"], "use rpc://HOST:PORT/KEY"),
        (["{bundle}", "--device", "rpc://10.0.0.2:70000/pi"], "use rpc://HOST:PORT/KEY"),
        (["{bundle}", "--device", "rpc://h:1/k", "--scenario", "offline"], "use --scenario single-stream"),
        (["{bundle}", "--duration", "0"], "--duration 10"),
        (["{bundle}", "--latency-bound", "0"], "--latency-bound 10"),
        (["{bundle}", "--fps", "-1"], "--fps 10"),
        (["{bundle}", "--video", "no.mp4"], "no video at 'no.mp4'"),
        (["{bundle}", "--streams", "0"], "--streams"),
        (["{bundle}", "--duration", "nan"], "--duration 10"),
        (["{bundle}", "--duration", "inf"], "--duration 10"),
        (["{bundle}", "--threads", "0"], "--threads"),
        (["{bundle}", "--target", "jetson"], "was exported for 'cpu', not 'jetson'"),
        ([], "pass a bundle's folder or a network"),
        (["tsm_mbv3"], "did you mean tsm_mbv2"),
        (["no/such/folder"], "does not exist"),
        (["my.module:net"], "edgevid export my.module:net"),
        (["{empty}"], "no manifest.json"),
        (["{bundle}/manifest.json"], "pass a bundle's folder"),
    ],
)
def test_a_wrong_request_is_one_line_that_says_what_to_do(
    run, bundle, measurements, tmp_path, arguments, says
):
    (tmp_path / "empty").mkdir()
    words = [word.format(bundle=bundle, empty=tmp_path / "empty") for word in arguments]
    assert says in refused_before_measuring(run, measurements, *words)


def test_a_model_is_exported_first_and_the_result_says_so(run, measurements, monkeypatch):
    exported = []

    def export(name, target, output):
        print("chatter on standard output")
        exported.append((name, target))
        Path(output).mkdir()

    monkeypatch.setitem(vars(edgevid), "export", export)
    status, out, err = run("tsm_mbv2", "--target", "jetson", "--json")
    assert status == 0 and exported == [("tsm_mbv2", "jetson")], "one export for both scenarios"
    result = json.loads(out)["results"][0]
    assert result["weights"]["random"] and result["exported_for_this_run"] and result["bundle"] is None
    assert "exporting for jetson with random weights" in err
    assert not Path(measurements.calls[0]["bundle"]).exists(), "the temporary bundle is gone"


def test_a_model_for_a_board_over_rpc_is_exported_with_tvm(run, measurements, monkeypatch):
    exported = []

    def export(name, output, **options):
        exported.append(options)
        Path(output).mkdir()

    monkeypatch.setitem(vars(edgevid), "export", export)
    status, _, _ = run("tsm_mbv2", "--target", "raspberry-pi-5", "--device", "rpc://10.0.0.2:9190/pi5")
    assert status == 0
    assert exported == [{"target": "raspberry-pi-5", "backend": "tvm"}]


def test_a_missing_export_extra_is_said(run, measurements, monkeypatch):
    def export(name, target, output):
        raise ImportError("No module named 'torch'", name="torch")

    monkeypatch.setitem(vars(edgevid), "export", export)
    err = refused_after_export(run, measurements)
    assert "needs torch: pip install 'edgevid[export]'" in err


def test_an_export_that_fails_is_its_own_error(run, measurements, monkeypatch):
    def export(name, target, output):
        raise ExportError("cannot trace: use other weights")

    monkeypatch.setitem(vars(edgevid), "export", export)
    assert "cannot trace: use other weights" in refused_after_export(run, measurements)


def refused_after_export(run, measurements) -> str:
    status, out, err = run("tsm_mbv2")
    assert status == 2 and out == "" and measurements.calls == [] and "Traceback" not in err
    return err


def test_importing_the_command_loads_nothing_heavy():
    code = (
        "import sys, edgevid.cli.bench, edgevid.cli.doctor; "
        "print(*{'numpy', 'torch', 'onnxruntime', 'av', 'tqdm', 'tabulate'} & set(sys.modules))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "\n"
    )


def test_a_bundle_has_one_profile_whatever_the_scenarios(run, bundle, monkeypatch, tmp_path):
    asked = []

    def measure(bundle, scenario, duration_s, threads, progress, profile=False, **options):
        asked.append((scenario, profile))
        extra = {"profile": {"why_not": "a test", "trace": [{"ph": "X"}]}} if profile else {}
        return {**RESULT, "scenario": scenario, **extra}

    monkeypatch.setattr(harness, "measure", measure)
    trace = tmp_path / "trace.json"
    status, out, _ = run(
        bundle, "--trace", str(trace), "--scenario", "offline", "--scenario", "single-stream"
    )
    assert status == 0 and asked == [("offline", True), ("single-stream", False)]
    assert "where the time goes:\nprofile: not available, a test" in out
    assert json.loads(trace.read_text()) == [{"ph": "X"}]
