"""What Alembic runs for a migration, on the connection and in the transaction of ``migrate``."""

from alembic import context

from edgevid.benchmarks.store.schema import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite cannot change a column in place
)
with context.begin_transaction():
    context.run_migrations()
