"""`rightsmanager content list`: the KIDs with stored keys."""

from typing import TYPE_CHECKING, Final

import click

from rightsmanager.cli.operator import Operator, pass_operator
from rightsmanager.cli.printing import Form, date_text, form_options, print_list
from rightsmanager.store.sources import Source

if TYPE_CHECKING:
    from rightsmanager.store.content_keys import StoredKey

_COLUMNS: Final = {
    "kid": "KID",
    "kid_base64": "base64",
    "type": "type",
    "added_at": "added",
    "origin": "origin",
    "program": "program",
    "period": "period",
}


@click.command(name="list")
@pass_operator
@form_options
def list_(operator: Operator, *, form: Form) -> None:
    """List the KIDs with stored keys.

    The keys themselves are printed by `export` only.
    """
    # By the store alone: what else `rightsmanager.admin` knows of keys costs 0.1 s to import.
    with operator.store.reading() as found:
        sources = found.sources.find_all()
        keys = found.content_keys.find_all()
    facts = [_facts(key, sources.get(key.kid, Source())) for key in keys]
    print_list(form, facts, _COLUMNS)


def _facts(key: "StoredKey", source: Source) -> dict[str, object]:
    return {
        "kid": key.kid.text,
        "kid_base64": key.kid.base64,
        "type": key.key_type,
        "added_at": date_text(key.added_at),
        "origin": source.origin,
        "program": source.program,
        "period": source.period,
    }
