"""The project that trained a checkpoint decides the normalization of pixels, unless the user overrides it."""

from __future__ import annotations

import numpy as np
import pytest
from official import names_and_shapes

from edgevid.errors import EdgevidError
from edgevid.specs import Preprocessing
from edgevid.video.transforms import Preprocess
from edgevid.weights import FORMATS, TRAINED_BY, preprocessing_of
from edgevid.weights.formats import recognize
from edgevid.weights.normalization import NO_OVERRIDE, parse_override
from edgevid.zoo import MODELS

pytestmark = pytest.mark.slow

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "RGB")
HALF = ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225), "RGB")
IMAGENET_BGR = ((0.406, 0.456, 0.485), (0.225, 0.224, 0.229), "BGR")
SPORTS = ((104 / 255, 117 / 255, 128 / 255), (1 / 255, 1 / 255, 1 / 255), "RGB")


def values(preprocessing: Preprocessing) -> tuple:
    return preprocessing.mean, preprocessing.std, preprocessing.color


@pytest.mark.parametrize(
    ("case", "model", "project", "expected"),
    [
        ("tsm_r50_8f_kinetics", "tsm_r50", "TSM", IMAGENET),
        ("tsm_mbv2_online_jester_5frames", "tsm_mbv2_online", "TSM", IMAGENET),
        ("mm_tsm_r50_8f", "tsm_r50", "MMAction2", IMAGENET),
        ("i3d_nl_dot_product_r50_32f", "i3d_r50_nl", "MMAction2", IMAGENET),
        ("r2plus1d_r34_8f_112", "r2plus1d_r34", "MMAction2", IMAGENET),
        ("c3d_sports1m_16x112_101", "c3d", "MMAction2", SPORTS),
        ("slow_8x8_r50_kinetics", "slow_r50", "pytorchvideo", HALF),
        ("i3d_8x8_r50_kinetics", "i3d_r50", "pytorchvideo", HALF),
        ("slowfast_8x8_r50_kinetics", "slowfast_r50_8x8", "pytorchvideo", HALF),
        ("pptsm_mv2_8f", "pptsm_mbv2", "PaddleVideo", IMAGENET),
        ("pptsm_v2_lcnet_8f", "pptsm_lcnet_v2", "PaddleVideo", IMAGENET),
        ("action_r50_8f_jester", "action_r50", "ACTION-Net", IMAGENET),
        ("stm_r50_8f_174", "stm_r50", "STM", IMAGENET),
        ("channelnet_v1", "channelnet_v1", "ChannelNets", IMAGENET_BGR),
    ],
)
def test_the_names_in_a_checkpoint_identify_who_trained_it(case, model, project, expected):
    state = names_and_shapes(case)
    form = recognize(FORMATS, state, _names_of(model, case)).format
    preprocessing = preprocessing_of(form, MODELS[model])
    assert values(preprocessing) == expected
    assert preprocessing.source == f"{project}'s, by the names in the checkpoint"


def _names_of(model: str, case: str) -> set[str]:
    import torch

    import edgevid

    options = {"variant": "official"} if case == "channelnet_v1" else {}
    with torch.device("meta"):
        return set(edgevid.create_model(model, **options).state_dict())


def test_a_network_of_pytorchvideos_with_mmaction2s_weights_gets_mmaction2s_numbers():
    form = next(form for form in FORMATS if form.name == "MMAction2")
    slow = MODELS["slow_r50"]
    assert values(slow.preprocessing) == HALF
    assert values(preprocessing_of(form, slow)) == IMAGENET


def test_optical_flow_has_its_own_normalization():
    forms = {form.name: form for form in FORMATS}
    flow = MODELS["tsm_r50_flow"]
    assert values(preprocessing_of(forms["TSM"], flow)) == values(flow.preprocessing)
    assert preprocessing_of(forms["MMAction2"], flow).mean == (128 / 255,) * 3


def test_bn_inception_has_the_preprocessing_of_its_authors():
    form = next(form for form in FORMATS if form.name == "ACTION-Net on BN-Inception")
    preprocessing = preprocessing_of(form, MODELS["action_bninception"])
    assert preprocessing.color == "BGR"
    pixels = np.full((4, 4, 3), (10, 20, 30), np.uint8)
    blue = Preprocess(preprocessing.at_size(4))(pixels)[0]
    np.testing.assert_allclose(blue, (30 - 0.485) / 0.229, rtol=1e-5)  # of 0 to 255, as Stack(roll) gives it


def test_every_format_but_edgevids_belongs_to_a_project():
    formats_of_projects = [form for _, _, formats in TRAINED_BY for form in formats]
    assert len(formats_of_projects) == len(FORMATS) - 1
    own = preprocessing_of(FORMATS[0], MODELS["slow_r50"])
    assert values(own) == HALF
    assert own.source == "the model's default, as the names in the checkpoint are its own"


@pytest.mark.parametrize(
    ("mean", "std", "expected"),
    [
        ("0.5,0.4,0.3", None, ((0.5, 0.4, 0.3), None)),
        ([0.5, 0.4, 0.3], (0.2, 0.2, 1), ((0.5, 0.4, 0.3), (0.2, 0.2, 1.0))),
        ("102,51,0", "51,25.5,255", ((0.4, 0.2, 0.0), (0.2, 0.1, 1.0))),
        ("102, 51, 0", "1,1,1", ((0.4, 0.2, 0.0), (1 / 255,) * 3)),
        ("0,0,0", "255,255,255", ((0.0,) * 3, (1.0,) * 3)),
        ("0,0,0", "1,1,1", ((0.0,) * 3, (1.0,) * 3)),
        (None, "51,51,51", (None, (0.2,) * 3)),
    ],
)
def test_numbers_are_of_either_scale(mean, std, expected):
    override = parse_override(mean, std, None)
    for numbers, triple in zip((override.mean, override.std), expected):
        assert numbers is None if triple is None else numbers == pytest.approx(triple)


@pytest.mark.parametrize(
    ("mean", "std", "color", "reason"),
    [
        ("1,2", None, None, "--mean takes three numbers"),
        ("a,b,c", None, None, "--mean takes three numbers"),
        ("", None, None, "--mean takes three numbers"),
        ("nan,0,0", None, None, "--mean takes three numbers"),
        ("256,0,0", None, None, "at most 255"),
        ([0.5], None, None, "--mean takes three numbers"),
        (0.5, None, None, "--mean takes three numbers"),
        ("-0.1,0,0", None, None, "--mean is a mean of pixels"),
        (None, "0,1,1", None, "--std is a divisor, so it must be above 0, not 0,1,1"),
        (None, "inf,1,1", None, "--std takes three numbers"),
        ("0.485,0.456,0.406", "58.395,57.12,57.375", None, "give both in the same scale"),
        ("123.7,116.3,103.5", "0.229,0.224,0.225", None, "give both in the same scale"),
        (None, None, "GRB", "--color is RGB or BGR, not GRB"),
    ],
)
def test_invalid_values_are_refused_in_one_line(mean, std, color, reason):
    with pytest.raises(EdgevidError, match=reason) as error:
        parse_override(mean, std, color)
    assert "\n" not in str(error.value)


def test_an_override_replaces_the_given_values_and_is_the_source():
    trained = Preprocessing(source="pytorchvideo's, by the names in the checkpoint")
    assert NO_OVERRIDE.apply(trained) is trained
    overridden = parse_override("0.1,0.2,0.3", None, "bgr").apply(trained)
    assert values(overridden) == ((0.1, 0.2, 0.3), trained.std[::-1], "BGR")
    assert values(parse_override(None, None, "BGR").apply(trained)) == IMAGENET_BGR
    assert values(parse_override(None, None, "RGB").apply(trained)) == IMAGENET
    assert overridden.source == (
        "given with --mean and --color; the rest is pytorchvideo's, by the names in the checkpoint"
    )
    whole = parse_override("0.1,0.2,0.3", "1,1,1", "RGB").apply(trained)
    assert whole.source == "given with --mean and --std and --color"
