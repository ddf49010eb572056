"""What each network is made of, known without building it; a test compares every line with the network.

``python -m edgevid.zoo.measure NAME`` prints the line of a new network.
"""

from __future__ import annotations

from edgevid.specs import Facts

FACTS: dict[str, Facts] = {
    "tsn_mbv2": Facts(2_736_272, 2_400_050_176, {}),
    "tsn_r50": Facts(24_327_632, 32_703_643_648, {}),
    "tsn_r50_flow": Facts(24_349_584, 34_906_570_752, {}),
    "tsn_r50_rgb_difference": Facts(24_365_264, 36_480_090_112, {}),
    "tsn_r50_two_stream": Facts(48_677_216, 67_610_214_400, {}),
    "tsm_mbv2": Facts(2_736_272, 2_400_050_176, {"TemporalShift": 10}),
    "tsm_r50": Facts(24_327_632, 32_703_643_648, {"TemporalShift": 16}),
    "tsm_r101": Facts(43_319_760, 62_401_413_120, {"TemporalShift": 18}),
    "tsm_rx101": Facts(87_561_936, 131_302_293_504, {"TemporalShift": 18}),
    "tsm_r50_nl": Facts(31_686_096, 61_104_062_464, {"TemporalShift": 16}),
    "tsm_r50_nl_dot": Facts(31_682_000, 51_714_326_528, {"TemporalShift": 16}),
    "tsm_r50_fpn": Facts(26_852_416, 55_432_839_168, {"TemporalShift": 16}),
    "tsm_r50_fpn_online": Facts(26_852_416, 55_432_839_168, {"TemporalShift": 16}),
    "pptsm_r50vd": Facts(24_346_864, 34_615_033_856, {"TemporalShift": 16}),
    "pptsm_r101vd": Facts(43_338_992, 64_312_803_328, {"TemporalShift": 33}),
    "pptsm_mbv2": Facts(2_737_360, 2_499_226_624, {"TemporalShift": 10}),
    "pptsm_lcnet_v2": Facts(6_031_760, 4_741_275_648, {"TemporalShift": 1}),
    "tsm_r50_tpool": Facts(24_327_632, 19_495_649_280, {"TemporalShift": 16}),
    "tsm_r50_flow": Facts(24_349_584, 34_906_570_752, {"TemporalShift": 16}),
    "tsm_mbv2_online": Facts(2_736_272, 2_400_050_176, {"TemporalShift": 10}),
    "tsm_r50_online": Facts(24_327_632, 32_703_643_648, {"TemporalShift": 16}),
    "stm_r50": Facts(24_498_740, 33_079_110_656, {"TemporalConv": 16, "TemporalDifference": 16}),
    "stm_r50_online": Facts(24_498_740, 33_079_110_656, {"TemporalConv": 16, "TemporalDifference": 16}),
    "action_r50": Facts(
        28_545_452, 34_440_684_144, {"FrameStack": 32, "TemporalConv": 16, "TemporalDifference": 16}
    ),
    "action_r50_online": Facts(
        28_545_452, 34_440_684_144, {"FrameStack": 32, "TemporalConv": 16, "TemporalDifference": 16}
    ),
    "action_mbv2": Facts(
        2_761_532, 2_413_157_448, {"FrameStack": 20, "TemporalConv": 10, "TemporalDifference": 10}
    ),
    "action_mbv2_online": Facts(
        2_761_532, 2_413_157_448, {"FrameStack": 20, "TemporalConv": 10, "TemporalDifference": 10}
    ),
    "action_bninception": Facts(
        11_775_744, 16_602_964_544, {"FrameStack": 20, "TemporalConv": 10, "TemporalDifference": 10}
    ),
    "tea_r50": Facts(24_919_354, 34_541_198_592, {"TemporalConv": 64, "TemporalDifference": 16}),
    "tea_r50_online": Facts(24_919_354, 34_541_198_592, {"TemporalConv": 64, "TemporalDifference": 16}),
    "channelnet_v1": Facts(3_703_432, 468_488_704, {"ChannelConv": 2}),
    "channelnet_v2": Facts(2_652_872, 420_319_744, {"ChannelConv": 3}),
    "channelnet_v3": Facts(1_638_313, 420_972_328, {"ChannelConv": 4}, {"size": "classifier (VolumeConv)"}),
    "mobilenet_v1": Facts(4_231_976, 568_740_352, {}),
    "shufflenet_v1": Facts(1_865_728, 137_460_672, {}),
    "slowfast_r50_8x8": Facts(34_566_488, 50_308_583_424, {"FrameStack": 30}),
    "slowfast_r50_4x16": Facts(34_480_216, 27_638_665_216, {"FrameStack": 30}),
    "slow_r50": Facts(32_454_096, 41_740_828_672, {"FrameStack": 9}),
    "c2d_r50": Facts(24_327_632, 19_493_191_680, {}),
    "i3d_r50": Facts(28_043_472, 28_407_660_544, {"FrameStack": 10}),
    "i3d_r50_32x2": Facts(28_043_472, 28_407_660_544, {"FrameStack": 10}),
    "i3d_r50_nl": Facts(35_397_840, 37_913_001_984, {"FrameStack": 10}),
    "i3d_r50_nl_embedded": Facts(35_397_840, 39_618_183_168, {"FrameStack": 10}),
    "i3d_r50_nl_gaussian": Facts(31_723_728, 37_002_608_640, {"FrameStack": 10}),
    "c3d": Facts(
        78_409_573,
        38_547_378_176,
        {"FrameStack": 8},
        {"frames": "backbone (C3D)", "size": "backbone (C3D)"},
    ),
    "r2plus1d_r34": Facts(63_759_281, 10_295_232_000, {"FrameStack": 36}),
}
