"""What a user would write without edgevid; run by its path: ``script.py JOB``, a JSON object.

It prints JSON: the mean logits over the frames, their number, and the wall time in milliseconds.
"""

from __future__ import annotations

import json
import sys
import time

import cv2
import numpy as np
import onnxruntime


def opencv(path, indices):
    video = cv2.VideoCapture(path)
    total = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    chosen = None if indices is None else indices(total)
    number = 0
    while video.grab():
        if chosen is None or number in chosen:
            yield video.retrieve()[1]
        number += 1


def decord(path, indices):
    from decord import VideoReader

    video = VideoReader(path)
    for i in range(len(video)) if indices is None else indices(len(video)):
        yield cv2.cvtColor(video[i].asnumpy(), cv2.COLOR_RGB2BGR)


def torchcodec(path, indices):
    from torchcodec.decoders import VideoDecoder

    video = VideoDecoder(path, dimension_order="NHWC", num_ffmpeg_threads=0)
    for i in range(len(video)) if indices is None else indices(len(video)):
        yield cv2.cvtColor(video[i].numpy(), cv2.COLOR_RGB2BGR)


def gstreamer(path, indices):
    import gi

    gi.require_version("Gst", "1.0")
    from gi.repository import Gst

    Gst.init(None)
    stages = (
        "filesrc name=file",
        "decodebin",
        "videoconvert",
        "video/x-raw,format=BGR",
        "appsink name=sink sync=false",
    )
    pipeline = Gst.parse_launch(" ! ".join(stages))
    pipeline.get_by_name("file").set_property("location", path)
    sink = pipeline.get_by_name("sink")
    sink.set_property("max-buffers", 8)
    pipeline.set_state(Gst.State.PLAYING)
    chosen, number = None, 0
    while sample := sink.emit("pull-sample"):
        caps = sample.get_caps().get_structure(0)
        height, width = caps.get_value("height"), caps.get_value("width")
        if number == 0 and indices is not None:
            _, numerator, denominator = caps.get_fraction("framerate")
            seconds = pipeline.query_duration(Gst.Format.TIME)[1] / Gst.SECOND
            chosen = indices(round(seconds * numerator / denominator))
        if chosen is None or number in chosen:
            rows = np.frombuffer(sample.get_buffer().extract_dup(0, 2**62), np.uint8).reshape(height, -1)
            yield rows[:, : 3 * width].reshape(height, width, 3)
        number += 1
    pipeline.set_state(Gst.State.NULL)


def preprocess(image, short_side, crop, mean, std):
    height, width = image.shape[:2]
    scale = short_side / min(height, width)
    image = cv2.resize(image, (int(width * scale), int(height * scale)), interpolation=cv2.INTER_AREA)
    y, x = (image.shape[0] - crop) // 2, (image.shape[1] - crop) // 2
    image = cv2.cvtColor(image[y : y + crop, x : x + crop], cv2.COLOR_BGR2RGB)
    return ((image.astype(np.float32) / 255 - mean) / std).transpose(2, 0, 1)


def main(job):
    session = onnxruntime.InferenceSession(job["model"], providers=["CPUExecutionProvider"])
    mean, std = np.float32(job["mean"]), np.float32(job["std"])
    length = job["frames"]

    def segments(total):
        return [int(total / length / 2 + total / length * i) for i in range(length)]

    start_s = time.perf_counter()
    images = globals()[job["reader"]](job["video"], None if job["streaming"] else segments)
    frames = (preprocess(image, job["short_side"], job["crop"], mean, std) for image in images)
    first, *states = session.get_inputs()
    if job["streaming"]:
        values = [np.zeros(state.shape, np.float32) for state in states]
        sum_, count = 0.0, 0
        for frame in frames:
            feeds = {state.name: value for state, value in zip(states, values)}
            logits, *values = session.run(None, {first.name: frame[None], **feeds})
            sum_, count = sum_ + logits[0], count + 1
        logits = sum_ / count
    else:
        clip = np.stack(list(frames))[None]
        logits, count = session.run(None, {first.name: clip})[0][0], length
    wall_ms = 1e3 * (time.perf_counter() - start_s)
    print(json.dumps({"logits": [float(x) for x in logits], "frames": count, "wall_ms": wall_ms}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
