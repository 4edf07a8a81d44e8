"""What Alembic runs for each command. It uses the connection that it is given and leaves logging alone."""

from alembic import context

from istmo.store.engine import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
