"""A bundle whose network finds red and blue, with the class activation maps that ``edgevid explain`` shows.

Its two files are written by hand, so that nothing is exported: the mean of each 8x8 block of a frame, times
the weights of three classes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import onnx
from one_bundle import CLIP, PARITY, STREAM, write_bundle

from edgevid.bundle.bundle import Bundle
from edgevid.specs import Artefact, Preprocessing, TensorSpec
from edgevid.specs.explanation import EXPLAIN_MODEL

LABELS = ["red", "blue", "green things"]
WEIGHT = np.array([[1, -0.5, -0.5], [-0.5, -0.5, 1], [-0.5, 1, -0.5]], np.float32)
BIAS = np.array([0.02, -0.02, 0], np.float32)
NODES = """
    frames = Reshape(INPUT, as_frames)
    features = AveragePool<kernel_shape = [8, 8], strides = [8, 8]>(frames)
    class_activation_maps = Conv(features, weight)
    means = ReduceMean<keepdims = 0>(class_activation_maps, positions)
    logits = Add(means, bias)
"""


def write_explained(folder: Path, streaming: bool = False, with_maps: bool = True) -> Bundle:
    """Frames of 64x64, maps of 8x8; ``streaming`` takes one frame at a time, else a clip has four."""
    outputs = (TensorSpec("logits", (1, 3), layout="NK"),)
    names = ["model.onnx", EXPLAIN_MODEL] if with_maps else ["model.onnx"]
    manifest = replace(
        STREAM if streaming else CLIP,
        states=(),
        classes=3,
        labels="colors",
        outputs=outputs,
        preprocessing=Preprocessing(64, 64, (0.5,) * 3, (0.25,) * 3),
        artefacts=tuple(Artefact(name, "fp32", "this test", "onnxruntime", PARITY) for name in names),
    )
    models = {name: _model(streaming, name == EXPLAIN_MODEL) for name in names}
    return write_bundle(folder, manifest, **models, **{"labels.txt": "\n".join(LABELS).encode() + b"\n"})


def write_square(path: Path, frames: int = 8) -> None:
    """A red square in the upper left of a gray video of 64x64; in its second half a blue one, lower right."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=8, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv444p"
        for index in range(frames):
            image = np.full((64, 64, 3), 128, np.uint8)
            if index < frames // 2:
                image[8:24, 8:24] = (255, 0, 0)
            else:
                image[40:56, 40:56] = (0, 0, 255)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode())


def _model(streaming: bool, with_maps: bool) -> bytes:
    name, shape, frames = ("frame", "1,3,64,64", 1) if streaming else ("clip", "1,4,3,64,64", 4)
    maps = f", float[{frames},3,8,8] class_activation_maps" if with_maps else ""
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        test (float[{shape}] {name}) => (float[1,3] logits{maps}) {{ {NODES.replace("INPUT", name)} }}"""
    )
    constants = {
        "as_frames": np.array([frames, 3, 64, 64]), "weight": WEIGHT[:, :, None, None], "bias": BIAS[None],
        "positions": np.array([2, 3]),
    }  # fmt: skip
    if not streaming:
        constants["positions"] = np.array([0, 2, 3])
    tensors = [onnx.numpy_helper.from_array(array, key) for key, array in constants.items()]
    model.graph.initializer.extend(tensors)
    return model.SerializeToString()
