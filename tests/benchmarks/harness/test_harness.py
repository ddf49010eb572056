"""A measurement in a fresh process: what comes back, and what is said when nothing can."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import signal
import subprocess
import threading

import pytest

from edgevid.benchmarks.harness.harness import measure
from edgevid.benchmarks.harness.scenarios import SCENARIOS
from edgevid.errors import BenchmarkError, BundleError

CONTRACT_KEYS = {
    "model", "target", "backend", "precision", "scenario", "threads", "latency_ms", "latency_includes",
    "throughput", "memory_mib", "power_w", "energy_mj_per_clip", "why_no_power", "samples_ms", "warmup_ms",
    "bundle_sha256", "environment",
}  # fmt: skip

FOREIGN = "raspberry-pi-5" if platform.machine() == "x86_64" else "gpu"


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_result_has_every_key_of_the_contract_and_is_json(bundle, worker_that):
    result = measure(bundle, duration_s=0.2, worker=worker_that())
    assert set(result) >= CONTRACT_KEYS
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_a_result_says_what_ran_and_on_what(bundle, worker_that):
    result = measure(bundle, "offline", 0.2, threads=3, worker=worker_that())
    assert (result["model"], result["target"], result["backend"]) == ("fake", "cpu", "onnxruntime")
    assert (result["scenario"], result["threads"]) == ("offline", 3)
    assert result["environment"]["cpu"]["architecture"]
    assert result["bundle_sha256"] == hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
    assert result["weights"] == {"source": "seed 0", "random": True}
    assert result["power_w"] is None and result["energy_mj_per_clip"] is None
    assert "RAPL" in result["why_no_power"]


@pytest.mark.parametrize("scenario", ["single-stream", "offline"])
def test_summary_and_throughput_follow_from_the_raw_samples(bundle, worker_that, scenario):
    result = measure(bundle, scenario, 0.3, worker=worker_that())
    samples = result["samples_ms"]
    assert min(samples) >= 1.0, "each fake inference sleeps for one millisecond"
    assert result["latency_ms"]["mean"] == pytest.approx(sum(samples) / len(samples))
    assert result["throughput"]["clips_per_s"] == pytest.approx(len(samples) / result["duration_s"])
    assert result["throughput"]["frames_per_s"] == pytest.approx(8 * result["throughput"]["clips_per_s"])
    assert len(result["warmup_ms"]) >= 5


def test_a_streamed_inference_is_one_frame(bundle, worker_that):
    result = measure(bundle, duration_s=0.2, worker=worker_that(streaming=True))
    per_s = len(result["samples_ms"]) / result["duration_s"]
    assert result["throughput"]["frames_per_s"] == pytest.approx(per_s)
    assert result["throughput"]["clips_per_s"] == pytest.approx(per_s / 8)


def test_another_backend_or_architecture_than_the_bundles_is_said(bundle, worker_that):
    result = measure(bundle, duration_s=0.1, worker=worker_that(target=FOREIGN, backend="tensorrt"))
    assert (result["target"], result["backend"], result["bundle_backend"]) == (
        FOREIGN,
        "onnxruntime",
        "tensorrt",
    )
    (warning,) = (warning for warning in result["warnings"] if f"not the times of {FOREIGN}" in warning)
    assert "onnxruntime instead of tensorrt" in warning
    assert f"{platform.machine()} instead of" in warning


def test_a_bundle_on_its_own_kind_of_device_is_not_warned_of(bundle, worker_that):
    result = measure(bundle, duration_s=0.1, worker=worker_that())
    assert not any("not the times of" in warning for warning in result["warnings"])


def test_the_peak_memory_is_the_workers_own_and_not_the_parents(bundle, worker_that):
    ballast = bytearray(os.urandom(1024)) * (200 * 1024)  # 200 MiB that are resident here
    result = measure(bundle, duration_s=0.1, worker=worker_that())
    assert (
        len(ballast)
        and 0 < result["memory_mib"]["process_baseline_mib"] <= result["memory_mib"]["peak"] < 200
    )
    assert result["memory_mib"]["weights"] == 2.0


def test_progress_tells_the_phases_in_order(bundle, worker_that):
    events = []
    measure(bundle, duration_s=0.6, worker=worker_that(), progress=events.append)
    phases = list(dict.fromkeys(progress.phase for progress in events))
    assert phases == ["opening", "warming up", "measuring", "summarizing"]
    assert all(progress.p50_ms > 0 for progress in events if progress.phase == "measuring")


def test_what_a_library_prints_does_not_disturb_the_result(bundle, worker_that):
    assert measure(bundle, duration_s=0.1, worker=worker_that(chatty=True))["model"] == "fake"


def test_an_error_of_the_session_comes_back_as_itself(bundle, worker_that):
    with pytest.raises(BundleError, match="the bundle is cut short: export it again"):
        measure(bundle, duration_s=0.1, worker=worker_that(refuses=True))


def test_a_killed_worker_is_said_to_be_out_of_memory_most_likely(bundle, worker_that):
    with pytest.raises(BenchmarkError, match=r"killed while .*SIGKILL.*memory ran out"):
        measure(bundle, duration_s=0.1, worker=worker_that(signal=signal.SIGKILL.value))


def test_a_crash_names_the_signal_and_the_phase(bundle, worker_that):
    with pytest.raises(BenchmarkError, match=r"crashed while (warming up|measuring) \(SIGSEGV\)"):
        measure(bundle, duration_s=0.1, worker=worker_that(signal=signal.SIGSEGV.value))


def test_a_bug_in_the_worker_is_reported_with_its_last_words(bundle, worker_that):
    with pytest.raises(BenchmarkError, match=r"exit status 1.*RuntimeError: a bug"):
        measure(bundle, duration_s=0.1, worker=worker_that(bug=True))


def test_a_worker_that_hangs_is_ended(bundle, worker_that):
    with pytest.raises(BenchmarkError, match="did not respond"):
        measure(bundle, duration_s=0.1, worker=worker_that(hang=True), silence_limit_s=3)
    assert not is_running(int((bundle / "pid").read_text()))


def test_ctrl_c_ends_the_worker(bundle, worker_that):
    def press(progress):
        if progress.phase == "measuring":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(bundle, duration_s=60, worker=worker_that(), progress=press)
    assert not is_running(int((bundle / "pid").read_text()))


def test_a_worker_ends_by_itself_when_its_parent_is_gone(bundle, worker_that):
    request = {"bundle": str(bundle), "scenario": "offline", "duration_s": 60, "threads": None}
    process = subprocess.Popen(
        worker_that(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    process.stdin.write(json.dumps(request).encode() + b"\n")
    process.stdin.close()
    while b"measuring" not in process.stdout.readline():
        pass
    process.stdout.close()
    assert process.wait(timeout=30) == 1


def test_a_program_that_does_not_exist_is_a_clear_error(bundle):
    with pytest.raises(BenchmarkError, match="does not start"):
        measure(bundle, worker=("/nowhere/python",))


def test_a_worker_that_ends_at_once_is_a_clear_error(bundle):
    with pytest.raises(BenchmarkError, match="ended without a result while starting"):
        measure(bundle, worker=("true",))


@pytest.mark.parametrize("name", ["burst", "no-such"])
def test_a_scenario_that_does_not_exist_is_refused_before_a_process_starts(bundle, name, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started"))
    with pytest.raises(BenchmarkError, match=" or ".join(SCENARIOS)):
        measure(bundle, name)


def test_two_measurements_have_two_processes(bundle, worker_that):
    pids = set()
    for _ in range(2):
        measure(bundle, duration_s=0.05, worker=worker_that())
        pids.add((bundle / "pid").read_text())
    assert len(pids) == 2


def test_no_thread_stays_behind(bundle, worker_that):
    before = set(threading.enumerate())
    measure(bundle, duration_s=0.05, worker=worker_that())
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=10)
        assert not thread.is_alive()
