"""Runs alembic's commands on the connection that `schema` gives, in its transaction."""

from typing import Literal

from alembic import context

from rightsmanager.protocol.wire import GUID_LENGTH
from rightsmanager.store.tables import METADATA, Identifier


def _render_item(kind: str, item: object, _autogenerate: object) -> str | Literal[False]:
    """Render a column of identifiers as bytes: a revision must not depend on `tables`."""
    is_identifier = kind == "type" and isinstance(item, Identifier)
    return f"sa.LargeBinary(length={GUID_LENGTH})" if is_identifier else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_item=_render_item,
    # `schema` begins and commits.
    transactional_ddl=False,
)
context.run_migrations()
