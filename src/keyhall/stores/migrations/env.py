"""Alembic's entry: runs the migrations on the connection that `stores/migrate.py` hands over."""

from alembic import context

from keyhall.stores.accounts import tables as accounts  # noqa: F401 - part of the metadata
from keyhall.stores.filters import tables as filters  # noqa: F401 - likewise
from keyhall.stores.requests import tables as requests  # noqa: F401 - likewise
from keyhall.stores.review import tables as review  # noqa: F401 - likewise
from keyhall.stores.spending import tables as spending  # noqa: F401 - part of the metadata
from keyhall.stores.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it.
)
with context.begin_transaction():
    context.run_migrations()
