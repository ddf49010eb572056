"""An accuracy in the list is attributed to its source, never presented as measured here."""

from __future__ import annotations

import re

import pytest

from edgevid.zoo import MODELS

DATASETS = r"(Kinetics-400|Something-Something|UCF-101|ImageNet)"
SENTENCE = re.compile(rf"{DATASETS} .*top-1 .*% \([^()]+; [^()]+\)")
"""Data set, figures, and in brackets at the end the protocol and the source."""


@pytest.mark.parametrize("name", [spec.name for spec in MODELS.values() if spec.published])
def test_a_published_accuracy_names_data_set_protocol_and_source(name):
    assert SENTENCE.fullmatch(MODELS[name].published)


@pytest.mark.parametrize(
    "text", ["ImageNet top-1 70.5 %", "top-1 70.5 % (1 crop; the paper)", "70.5 (the paper)"]
)
def test_a_bare_figure_would_be_noticed(text):
    assert not SENTENCE.fullmatch(text)
