"""Checkpoints of ACTION-Net (Wang, She, Smolic, CVPR 2021), which wraps the convolutions of TSM's code."""

from __future__ import annotations

import re

from edgevid.weights.formats import Format, Rule

MODULE: tuple[Rule, ...] = (
    (r"\.action_shift\.", ".over_time."),
    (r"\.action_p1_conv1\.", ".excitation.space_time."),
    (r"\.action_p2_squeeze\.", ".excitation.channel_squeeze."),
    (r"\.action_p2_conv1\.", ".excitation.channel_over_time."),
    (r"\.action_p2_expand\.", ".excitation.channel_expand."),
    (r"\.action_p3_squeeze\.", ".excitation.motion.squeeze."),
    (r"\.action_p3_bn1\.", ".excitation.motion.bn."),
    (r"\.action_p3_conv1\.", ".excitation.motion.conv."),
    (r"\.action_p3_expand\.", ".excitation.motion_expand."),
)
_NETWORK: tuple[Rule, ...] = ((r"^base_model\.", "backbone."), (r"^new_fc\.", "classifier."))

ACTION = Format(
    "ACTION-Net",
    # The module wraps the convolution after it: layer1.0.conv1.net next to conv1.action_shift.
    (*_NETWORK, (r"\.(?:conv1|conv\.0)\.action_", ".shift.action_"), *MODULE),
    marker=r"\.action_",
)


def _following_block(match: re.Match) -> str:
    """The module ``shift_3a`` follows block 3a, so it precedes block 3b."""
    return f".blocks.{BLOCKS[BLOCKS.index(match[1]) + 1]}.shift."


BLOCKS = ("2", "3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b")

BN_INCEPTION = Format(
    "ACTION-Net on BN-Inception",
    (
        *_NETWORK,
        (r"\.shift_(\d[a-e]?)\.", _following_block),
        *MODULE,
        (r"\.inception_(\d[a-e])_", r".blocks.\1."),
        (r"\.conv1_7x7_s2", ".conv1"),
        (r"\.conv2_3x3_reduce", ".conv2.0"),
        (r"\.conv2_3x3", ".conv2.1"),
        (r"\.1x1", ".conv1x1"),
        (r"\.double_3x3_reduce", ".double3x3.0"),
        (r"\.double_3x3_", ".double3x3."),
        (r"\.3x3_reduce", ".conv3x3.0"),
        (r"\.3x3", ".conv3x3.1"),
        (r"\.pool_proj", ".projection"),
        (r"(\.(?:conv1|conv2\.\d|blocks\..*))_bn\.", r"\1.bn."),
        (
            r"(\.(?:conv1|conv2\.\d|blocks\.\w+\.(?:\w+3x3\.\d|conv1x1|projection)))\.(weight|bias)$",
            r"\1.conv.\2",
        ),
    ),
    marker=r"\.inception_",
    # The module also holds, by another name, a convolution of the next block, which it does not run.
    unused=r"\.shift\.(?:net\.)?(?:weight|bias)$",
)
