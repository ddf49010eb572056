"""Eager PyTorch, the fp32 bundle and MMAction2's definitions give one accuracy, for every kind of view."""

from __future__ import annotations

import accuracy_of_mmaction2
import numpy as np
import pytest
import tiny_network
from one_video import write_videos

from edgevid.benchmarks.evaluation.evaluate import Request
from edgevid.benchmarks.evaluation.protocols import PROBABILITIES, protocol_named
from edgevid.benchmarks.evaluation.run import evaluate
from edgevid.benchmarks.evaluation.views import Views
from edgevid.video.datasets import Dataset, LabelledVideo
from edgevid.video.predictions import softmax


@pytest.mark.slow
def test_eager_pytorch_and_the_bundle_have_the_accuracies_that_mmaction2_computes(exported, tmp_path):
    torch = pytest.importorskip("torch")
    bundle = exported("tiny_network:Shifted", classes=None)
    folder = write_videos(tmp_path / "videos", 12)
    paths = sorted(folder.iterdir())
    labels = np.array([number % 3 for number in range(len(paths))])
    videos = tuple(LabelledVideo(path, int(label), path.name) for path, label in zip(paths, labels))
    dataset = Dataset("stripes", folder, "test", tuple("abcde"), videos)
    network = tiny_network.Shifted().eval()
    for name in ("bundle", "mmaction2-tsm-sthv2"):
        protocol = protocol_named(name, "segments")
        views = Views(protocol, bundle.manifest.preprocessing, bundle.manifest.frames)
        with torch.no_grad():
            logits = np.array(
                [network(torch.from_numpy(np.array(list(views.read(path))))).numpy() for path in paths]
            )
        # (videos, views, classes)
        by_view = softmax(logits) if protocol.average == PROBABILITIES else logits
        scores = by_view.mean(axis=1)
        result = evaluate(bundle.path, dataset, Request(name)).result
        assert len(set(np.argmax(scores, axis=1))) > 1, "a network that always says the same shows nothing"
        for count in (1, 5):
            expected = accuracy_of_mmaction2.top_k_accuracy(scores, labels, count)
            assert result[f"top{count}"] == expected
        expected = accuracy_of_mmaction2.mean_class_accuracy(scores, labels)
        assert result["mean_class_accuracy"] == pytest.approx(expected)
