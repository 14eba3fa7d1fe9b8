"""`rightsmanager init` makes the keyring, and `rightsmanager keys` shows it."""

from typing import TYPE_CHECKING

import click

from rightsmanager.cli.operator import Operator, now, pass_operator
from rightsmanager.cli.printing import Form, json_option, print_json, print_tree
from rightsmanager.crypto.random import system_random
from rightsmanager.keyring import create, rng_for
from rightsmanager.keyring.identities import IDENTITIES, Identity
from rightsmanager.protocol.wire import NEVER, encode_base64, fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from rich.tree import Tree

    from rightsmanager.keyring.files import KeyFiles
    from rightsmanager.protocol.formats.bcert import Certificate


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
    facts = [fact for identity in IDENTITIES if (fact := _facts(files, identity))]
    if form == "json":
        print_json([{**fact, "certificate": fact["certificate"] or None} for fact in facts])
    else:
        print_tree(_tree(files.private, facts))


def _facts(files: "KeyFiles", identity: Identity) -> dict[str, object] | None:
    key, chain = files.find_key(identity.name), files.find_chain(identity.name)
    if key is None and chain is None:
        return None
    public = key.public if key is not None else chain and chain.leaf.keys[0].public
    return {
        "name": identity.name,
        "issuer": identity.certified and identity.certified.issuer,
        "fingerprint": fingerprint(public.raw) if public else None,
        "private_key": key is not None,
        "certificate": {} if chain is None else _certificate_facts(chain.leaf),
    }


def _certificate_facts(certificate: "Certificate") -> dict[str, object]:
    usages = [usage for key in certificate.keys for usage in key.usages]
    facts: dict[str, object] = {
        "type": certificate.type.name.lower(),
        "security_level": certificate.security_level,
        "usages": [usage.name.lower() if hasattr(usage, "name") else usage for usage in usages],
        "digest": encode_base64(certificate.digest),
        "expiry": None if certificate.expiry == NEVER else certificate.expiry,
    }
    if certificate.metering is not None:
        facts["metering_id"] = certificate.metering.metering_id.text
    return facts


def _tree(folder: "Path", facts: list[dict[str, object]]) -> "Tree":
    from rich.tree import Tree  # noqa: PLC0415 -- only where a tree is printed

    tree = Tree(str(folder))
    branches: dict[object, Tree] = {}
    for fact in facts:
        parent = branches.get(fact["issuer"], tree)
        branch = parent.add(f"[bold]{fact['name']}[/bold]  {fact['fingerprint']}")
        branches[fact["name"]] = branch
        if not fact["private_key"]:
            branch.add("the private key is kept elsewhere")
        certificate = fact["certificate"]
        for name, value in certificate.items() if isinstance(certificate, dict) else ():
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            branch.add(f"{name.replace('_', ' ')}: {'never' if value is None else shown}")
    return tree
