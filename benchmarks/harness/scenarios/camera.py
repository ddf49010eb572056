"""Camera: frames arrive at a fixed rate, from one or more cameras, and each answer has a deadline."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevid.benchmarks.harness.scenarios.scenario import (
    HOST_CLOCK,
    REPORT_INTERVAL_NS,
    Scenario,
    Timing,
    Workload,
    collection_paused,
    new_samples,
)
from edgevid.errors import BenchmarkError

if TYPE_CHECKING:
    from edgevid.video.frame import Picture

SETTLE_FRAMES = 10
"""Frames of each camera before the measurement: the decoder and the preprocessing build their tables."""
SILENCE_S = 30.0
STOP_S = 2.0


class Camera:
    """A thread that decodes a video in a loop, at a fixed rate, and keeps the newest picture.

    ``newest`` is that picture with its scheduled arrival (ns), None once it was taken. ``arrived`` counts the
    frames so far, ``dropped`` those that a newer one replaced before they were taken.
    """

    def __init__(self, video: str, fps: float, threads: int, changed: threading.Condition) -> None:
        self.arrived = self.dropped = 0
        self.decoding_ns = 0
        self.newest: tuple[Picture, int] | None = None
        self.error: BaseException | None = None
        self._video, self._interval_ns, self._threads = video, int(1e9 / fps), threads
        self._changed = changed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        try:
            with contextlib.closing(self._pictures()) as pictures:
                self._show(pictures)
        except BaseException as error:
            with self._changed:
                self.error = error
                self._changed.notify_all()

    def _show(self, pictures: Iterator[Picture]) -> None:
        due = time.perf_counter_ns()
        while True:
            left = due - time.perf_counter_ns()
            if self._stop.wait(max(0, left) / 1e9):
                return
            begin = time.perf_counter_ns()
            picture = next(pictures)
            end = time.perf_counter_ns()
            with self._changed:
                self.decoding_ns += end - begin
                self.arrived += 1
                self.dropped += self.newest is not None
                self.newest = (picture, due)
                self._changed.notify_all()
            due += self._interval_ns

    def _pictures(self) -> Generator[Picture]:
        from edgevid.video.decode import decoded_frames, open_video

        while True:
            with open_video(self._video) as (container, stream):
                # As for a live source: threads that take whole frames hold some back.
                stream.thread_type = "SLICE"
                stream.codec_context.thread_count = self._threads
                for picture, _ in decoded_frames(container, stream, self._video, warn=False):
                    yield picture


class Cameras:
    """Several cameras at the same rate; as a context, they run."""

    def __init__(self, count: int, video: str, fps: float, threads: int) -> None:
        self._changed = threading.Condition()
        self._all = [Camera(video, fps, threads, self._changed) for _ in range(count)]

    def __enter__(self) -> Cameras:
        for camera in self._all:
            camera.start()
        return self

    def __exit__(self, *error: object) -> None:
        for camera in self._all:
            camera.close()

    def take(self) -> tuple[int, Picture, int]:
        """Wait for a picture that has not been taken, the oldest of the cameras' newest ones.

        Returns the camera's number, the picture, and its scheduled arrival (ns).
        """
        with self._changed:
            while True:
                for camera in self._all:
                    if camera.error is not None:
                        raise camera.error
                waiting = [(c.newest[1], number) for number, c in enumerate(self._all) if c.newest]
                if waiting:
                    break
                if not self._changed.wait(SILENCE_S):
                    raise BenchmarkError(f"no frame of the video was decoded in {SILENCE_S:g} s: use another")
            due, number = min(waiting)
            newest, self._all[number].newest = self._all[number].newest, None
            assert newest
            return number, newest[0], due

    def counts(self) -> tuple[int, int, int]:
        """Frames that arrived, frames that were dropped, and the time of decoding (ns), of all cameras."""
        with self._changed:
            totals = [(camera.arrived, camera.dropped, camera.decoding_ns) for camera in self._all]
        arrived, dropped, decoding_ns = (sum(values) for values in zip(*totals))
        return arrived, dropped, decoding_ns


def run(workload: Workload, duration_s: float) -> Timing:
    """Answer the newest frame of each of ``settings.streams`` cameras, the oldest of these first.

    A sample is the delay of an answered frame, from its scheduled arrival, before it is decoded, to its
    answer. A frame that a newer one replaces before the network is free is dropped, as ``edgevid run
    --camera`` does. A deadline is missed by a dropped frame, and by an answer later than
    ``settings.deadline_ms`` (by default, the time between two frames). A clip bundle answers with a window of
    the last frames.
    """
    from edgevid.video.preprocess import FramePreprocessor
    from edgevid.video.recognize import decoder_threads, predictor

    settings, session, clock = workload.settings, workload.session, time.perf_counter_ns
    count = settings.streams or 1
    samples, stages_ns = new_samples(), {"preprocessing": 0, "inference": 0}
    preprocess = [FramePreprocessor(session.manifest.preprocessing) for _ in range(count)]
    predict = [predictor(session) for _ in range(count)]
    with contextlib.ExitStack() as stack:
        video = settings.video or stack.enter_context(_moving_shapes())
        fps = settings.fps or _frame_rate(video)
        cameras = stack.enter_context(Cameras(count, video, fps, max(1, decoder_threads(session) // count)))
        stack.enter_context(collection_paused())
        for _ in range(max(SETTLE_FRAMES, session.manifest.frames) * count):
            number, picture, _ = cameras.take()
            predict[number](preprocess[number](picture))
        before = cameras.counts()
        start = end = clock()
        deadline, next_report = start + int(duration_s * 1e9), start
        while end < deadline:
            number, picture, due = cameras.take()
            begin = clock()
            frame = preprocess[number](picture)
            middle = clock()
            predict[number](frame)
            end = clock()
            samples.append(end - due)
            stages_ns["preprocessing"] += middle - begin
            stages_ns["inference"] += end - middle
            if end >= next_report:
                workload.report((end - start) / 1e9, samples)
                next_report = end + REPORT_INTERVAL_NS
        arrived, dropped, decoding_ns = (now - then for now, then in zip(cameras.counts(), before))
    deadline_ms = settings.deadline_ms or 1000 / fps
    details = {
        "streams": count,
        "video": settings.video or "moving shapes, made for this run",
        "fps": fps,
        "deadline_ms": deadline_ms,
        **_misses(arrived, dropped, sum(sample > deadline_ms * 1e6 for sample in samples)),
        "stage_ms_per_frame": {
            "decoding": decoding_ns / 1e6 / max(1, arrived),
            **{stage: spent / 1e6 / len(samples) for stage, spent in stages_ns.items()},
        },
    }
    includes = ("decoding", "preprocessing", "waiting", "inference")
    return Timing(samples, (end - start) / 1e9, details={"camera": details}, includes=includes)


def _misses(arrived: int, dropped: int, late: int) -> dict[str, Any]:
    missed = dropped + late
    return {
        "arrived": arrived,
        "dropped": dropped,
        "late": late,
        "missed": missed,
        "missed_share": missed / max(1, arrived),
    }


def _frame_rate(video: str) -> float:
    from edgevid.video.declared import declared_frame_rate
    from edgevid.video.decode import open_video

    with open_video(video) as (_, stream):
        rate = declared_frame_rate(stream)
    if not rate:
        raise BenchmarkError(f"'{video}' does not declare a frame rate: use --fps, for example --fps 30")
    return float(rate)


@contextlib.contextmanager
def _moving_shapes() -> Iterator[str]:
    from edgevid.video.moving_shapes import write

    with tempfile.TemporaryDirectory(prefix="edgevid-camera-") as folder:
        path = Path(folder) / "moving_shapes.mp4"
        write(path)
        yield str(path)


SCENARIO = Scenario(
    "camera",
    "delay from a frame's arrival to its answer: decoding, preprocessing and inference",
    "missed deadlines, and p50, p90, p99 of the delay",
    frozenset({HOST_CLOCK}),
    run,
    shares_cores=True,
    order=5,
)
