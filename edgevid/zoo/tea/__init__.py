"""TEA."""

from __future__ import annotations

from edgevid.specs import Facts, ModelSpec

TEA = "Li et al., TEA: Temporal Excitation and Aggregation, CVPR 2020"

MODELS = (
    ModelSpec(
        name="tea_r50",
        title="TEA, Res2Net-50",
        builder="edgevid.zoo.tea.network:build",
        source=TEA,
        options={"direction": "bidirectional"},
        online="tea_r50_online",
        facts=Facts(
            parameters=24_919_354,
            macs=34_541_198_592,
            temporal_ops={"TemporalConv": 64, "TemporalDifference": 16},
        ),
    ),
    ModelSpec(
        name="tea_r50_online",
        title="Causal TEA, Res2Net-50",
        builder="edgevid.zoo.tea.network:build",
        source=TEA,
        options={"direction": "causal"},
        causal=True,
        facts=Facts(
            parameters=24_919_354,
            macs=34_541_198_592,
            temporal_ops={"TemporalConv": 64, "TemporalDifference": 16},
        ),
    ),
)
