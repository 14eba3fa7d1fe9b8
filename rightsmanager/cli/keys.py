"""`rightsmanager init` makes the keyring, and `rightsmanager keys` shows it."""

from typing import TYPE_CHECKING

import click

from rightsmanager.admin.certificates import find_identities
from rightsmanager.cli.operator import Operator, now, pass_operator
from rightsmanager.cli.printing import Form, json_option, print_json, print_tree, to_json
from rightsmanager.crypto.random import system_random
from rightsmanager.keyring import create, rng_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rich.tree import Tree

    from rightsmanager.admin.certificates import CertificateFacts, IdentityFacts


@click.command()
@pass_operator
@click.option("--seed", help="Repeat the keys of this seed. For tests: the seed gives them away.")
def init(operator: Operator, *, seed: str | None) -> None:
    """Make the keys and the database of a data folder.

    Existing keys, certificates and tables are kept.
    """
    from rightsmanager.assembly import refuse_lost_keyring  # noqa: PLC0415 -- `keys` needs no database
    from rightsmanager.store.schema import upgrade  # noqa: PLC0415 -- as above
    from rightsmanager.web.tls import prepare_https  # noqa: PLC0415

    files, settings = operator.files, operator.settings
    refuse_lost_keyring(settings, files)
    create(files, rng_for(seed), settings.effective_metering_url)
    prepare_https(settings, files, now(), system_random)
    upgrade(settings.effective_database_url)
    # Binds a new database to the keyring, and refuses one of another keyring.
    _ = operator.keyring
    click.echo(f"The keyring is in {files.private}; clients need the files in {files.public}.")


@click.command()
@pass_operator
@json_option
def keys(operator: Operator, *, form: Form) -> None:
    """Show the keyring and its fingerprints."""
    operator.refuse_missing_data()
    files = operator.files
    facts = find_identities(files)
    if form == "json":
        print_json(facts)
    else:
        print_tree(_tree(files.private, facts))


def _tree(folder: "Path", identities: "Sequence[IdentityFacts]") -> "Tree":
    from rich.tree import Tree  # noqa: PLC0415 -- only where a tree is printed

    tree = Tree(str(folder))
    branches: dict[str | None, Tree] = {}
    for each in identities:
        parent = branches.get(each.issuer, tree)
        branch = parent.add(f"[bold]{each.name}[/bold]  {each.fingerprint}")
        branches[each.name] = branch
        if not each.private_key:
            branch.add("the private key is kept elsewhere")
        for line in [] if each.certificate is None else _lines(each.certificate):
            branch.add(line)
    return tree


def _lines(certificate: "CertificateFacts") -> "Iterator[str]":
    shown = to_json(certificate)
    for name, value in shown.items() if isinstance(shown, dict) else ():
        if name == "metering_id" and value is None:
            continue
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        yield f"{name.replace('_', ' ')}: {'never' if value is None else text}"
