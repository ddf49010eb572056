"""The tables of this edgevid's schema. A change needs a migration too, and a test compares the two."""

from __future__ import annotations

import sqlalchemy as sa

from edgevid.benchmarks.store import verdict
from edgevid.benchmarks.store.record import COLUMNS

SCHEMA = "0002"
"""The newest migration in ``migrations/versions``."""

METADATA = sa.MetaData()
VERSION_TABLE = "edgevid_schema"

_TYPES = {str: sa.Text, int: sa.Integer, float: sa.Double}

MEASUREMENTS = sa.Table(
    "edgevid_measurement",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("measurement_id", sa.String(36), nullable=False, unique=True),
    *(sa.Column(name, _TYPES[kind]()) for name, (kind, _) in COLUMNS.items()),
    sa.Column("record", sa.Text, nullable=False),
    sa.Index("edgevid_by_model", "model", "scenario"),
    sa.Index("edgevid_by_bundle", "bundle_sha256"),
    sa.Index("edgevid_by_date", "date_utc"),
)

SERIES = sa.Table(
    "edgevid_series",
    METADATA,
    sa.Column(
        "measurement_id",
        sa.String(36),
        sa.ForeignKey("edgevid_measurement.measurement_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("place", sa.Text, primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

VERDICTS = sa.Table(
    "edgevid_verdict",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("verdict_id", sa.String(36), nullable=False, unique=True),
    *(sa.Column(name, _TYPES[kind]()) for name, (kind, _) in verdict.COLUMNS.items()),
    sa.Column("record", sa.Text, nullable=False),
    sa.Index("edgevid_by_reference", "reference_sha256", "device"),
)

RATIOS = sa.Table(
    "edgevid_ratio",
    METADATA,
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
