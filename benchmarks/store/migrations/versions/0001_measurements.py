"""Measurements and their series."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TEXTS = (
    "model", "target", "backend", "precision", "scenario", "device", "bundle_sha256", "edgevid_version",
    "edgevid_commit", "date_utc",
)  # fmt: skip
NUMBERS = ("p50_ms", "p90_ms", "p99_ms", "clips_per_s", "peak_mib", "energy_mj_per_clip")


def upgrade() -> None:
    op.create_table(
        "edgevid_measurement",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("measurement_id", sa.String(36), nullable=False, unique=True),
        *(sa.Column(name, sa.Text) for name in TEXTS),
        sa.Column("threads", sa.Integer),
        *(sa.Column(name, sa.Double) for name in NUMBERS),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index("edgevid_by_model", "edgevid_measurement", ["model", "scenario"])
    op.create_index("edgevid_by_bundle", "edgevid_measurement", ["bundle_sha256"])
    op.create_index("edgevid_by_date", "edgevid_measurement", ["date_utc"])
    op.create_table(
        "edgevid_series",
        sa.Column(
            "measurement_id",
            sa.String(36),
            sa.ForeignKey("edgevid_measurement.measurement_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("place", sa.Text, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
