"""Verdicts of the gate, and in each the ratio of every metric."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TEXTS = (
    "model", "device", "reference_sha256", "candidate_sha256", "candidate_commit", "date_utc", "verdict",
)  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "edgevid_verdict",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("verdict_id", sa.String(36), nullable=False, unique=True),
        *(sa.Column(name, sa.Text) for name in TEXTS),
        sa.Column("threads", sa.Integer),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index("edgevid_by_reference", "edgevid_verdict", ["reference_sha256", "device"])
    op.create_table(
        "edgevid_ratio",
        sa.Column(
            "verdict_id",
            sa.String(36),
            sa.ForeignKey("edgevid_verdict.verdict_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("metric", sa.Text, primary_key=True),
        sa.Column("verdict", sa.Text),
        *(sa.Column(name, sa.Double) for name in ("ratio", "low", "high", "candidate")),
        sa.Column("pairs", sa.LargeBinary),
    )
