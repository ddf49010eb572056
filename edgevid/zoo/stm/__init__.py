"""STM."""

from __future__ import annotations

from edgevid.specs import Facts, ModelSpec

STM = "Jiang et al., STM: SpatioTemporal and Motion Encoding, ICCV 2019"

MODELS = (
    ModelSpec(
        name="stm_r50",
        title="STM, ResNet-50",
        builder="edgevid.zoo.stm.network:build",
        source=STM,
        options={"direction": "bidirectional"},
        online="stm_r50_online",
        published=(
            "Kinetics-400 top-1 73.7 %, Something-Something top-1 V1 50.7 %, V2 64.2 % (16 frames; a "
            "leaderboard page, which does not state the clips and crops)"
        ),
        facts=Facts(
            parameters=24_498_740,
            macs=33_079_110_656,
            temporal_ops={"TemporalConv": 16, "TemporalDifference": 16},
        ),
    ),
    ModelSpec(
        name="stm_r50_online",
        title="Causal STM, ResNet-50",
        builder="edgevid.zoo.stm.network:build",
        source=STM,
        options={"direction": "causal"},
        causal=True,
        facts=Facts(
            parameters=24_498_740,
            macs=33_079_110_656,
            temporal_ops={"TemporalConv": 16, "TemporalDifference": 16},
        ),
    ),
)
