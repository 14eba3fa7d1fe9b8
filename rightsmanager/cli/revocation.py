"""`rightsmanager revoke`, `unrevoke` and `revocations`: certificates that are refused."""

from pathlib import Path
from typing import Final

import click

from rightsmanager.admin.revocations import (
    NewVersions,
    RevocationEditor,
    Target,
    find_revocations,
    find_target,
    parse_digest,
)
from rightsmanager.cli.operator import Operator, now, pass_operator
from rightsmanager.cli.options import Parsed
from rightsmanager.cli.printing import Form, json_option, print_json, print_list
from rightsmanager.errors import InvalidMessage
from rightsmanager.files import is_file, read_file
from rightsmanager.keyring import load_list_signer
from rightsmanager.protocol.formats.revocation import DIGEST_LENGTH, LISTS, NAMES, REVOCATION_INFO
from rightsmanager.protocol.wire import encode_base64

_LIST_COLUMNS: Final = {"name": "list", "id": "id", "version": "version", "changed_at": "changed"}
_REVOKED_COLUMNS: Final = {
    "digest": "revoked",
    "list": "list",
    "version": "version",
    "since": "since",
    "allowed": "allowed",
}
_ALLOWED_COLUMNS: Final = {"digest": "allowed", "since": "since"}


def _parse_target(text: str) -> Target:
    file = Path(text)
    if is_file(file):
        return find_target(read_file(file))
    try:
        return Target(parse_digest(text))
    except InvalidMessage:
        raise InvalidMessage(
            f"{text[: 2 * DIGEST_LENGTH]!r} is neither a file nor a digest of {DIGEST_LENGTH} "
            "bytes in hexadecimal digits or base64"
        ) from None


_certificate: Final = click.argument(
    "certificate", metavar="DIGEST|CHAINFILE", type=Parsed("certificate", _parse_target)
)


@click.command()
@pass_operator
@click.option(
    "--list",
    "list_name",
    type=click.Choice(list(LISTS)),
    help="The list.  [default: by the leaf's type; device for a digest]",
)
@click.option("--disallow", is_flag=True, help="Only take it off the allow list.")
@_certificate
def revoke(
    operator: Operator, *, list_name: str | None, disallow: bool, certificate: Target
) -> None:
    """Revoke a certificate.

    It is a DIGEST in hexadecimal or base64, or the leaf in CHAINFILE. All chains with the
    certificate are refused: an issuer's revocation covers everything that it certified.
    """
    digest = certificate.digest
    editor = _editor(operator)
    if disallow:
        _print(digest, "is no longer on the allow list", editor.disallow(digest))
    else:
        name = list_name or certificate.list_name
        _print(digest, f"is on the {name} list", editor.revoke(LISTS[name], digest))


@click.command()
@pass_operator
@click.option("--allow", is_flag=True, help="Leave it on its lists, and serve it nevertheless.")
@_certificate
def unrevoke(operator: Operator, *, allow: bool, certificate: Target) -> None:
    """Serve a revoked certificate again.

    It is a DIGEST in hexadecimal or base64, or the leaf in CHAINFILE.
    """
    digest = certificate.digest
    editor = _editor(operator)
    if allow:
        _print(digest, "is on the allow list", editor.allow(digest))
    else:
        _print(digest, "is on no list", editor.unrevoke(digest))


@click.command()
@pass_operator
@json_option
def revocations(operator: Operator, *, form: Form) -> None:
    """Show the revocation lists."""
    facts = find_revocations(operator.store)
    if form == "json":
        print_json(facts)
        return
    print_list(form, facts.lists, _LIST_COLUMNS)
    click.echo()
    print_list(form, facts.revoked, _REVOKED_COLUMNS)
    click.echo()
    print_list(form, facts.allowed, _ALLOWED_COLUMNS)


def _editor(operator: Operator) -> RevocationEditor:
    operator.refuse_missing_data()
    return RevocationEditor(operator.store, load_list_signer(operator.files), now)


def _print(digest: bytes, change: str, changed: NewVersions) -> None:
    click.echo(f"{encode_base64(digest)} {change}")
    versions = {**changed.lists, REVOCATION_INFO: changed.information}
    click.echo(", ".join(f"{NAMES[each]} version {number}" for each, number in versions.items()))
