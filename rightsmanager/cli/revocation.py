"""`rightsmanager revoke`, `unrevoke` and `revocations`: certificates that are refused."""

import binascii
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from rightsmanager.admin.revocations import NewVersions, RevocationEditor
from rightsmanager.cli.operator import Operator, now, pass_operator
from rightsmanager.cli.options import Parsed
from rightsmanager.cli.printing import Form, date_text, json_option, print_json, print_list
from rightsmanager.errors import InvalidMessage
from rightsmanager.files import is_file, read_file
from rightsmanager.keyring import load_list_signer
from rightsmanager.protocol.formats.bcert import CertificateType, parse_chain
from rightsmanager.protocol.formats.revocation import DIGEST_LENGTH, LISTS, NAMES, REVOCATION_INFO
from rightsmanager.protocol.wire import decode_base64, encode_base64

if TYPE_CHECKING:
    from rightsmanager.store.revocations import ListState, Revocation

_HEX_LENGTH: Final = 2 * DIGEST_LENGTH
_LIST_OF_TYPE: Final = {
    CertificateType.PC: "pc",
    CertificateType.SILVERLIGHT: "application",
    CertificateType.APPLICATION: "application",
}
"""The list of a leaf's type; any other type is on the list of devices."""
_DEFAULT_LIST: Final = "device"
_LIST_COLUMNS: Final = {"name": "list", "id": "id", "version": "version", "changed_at": "changed"}
_REVOKED_COLUMNS: Final = {
    "digest": "revoked",
    "list": "list",
    "version": "version",
    "since": "since",
    "allowed": "allowed",
}
_ALLOWED_COLUMNS: Final = {"digest": "allowed", "since": "since"}

Target = tuple[bytes, str]
"""The digest of a certificate, and the name of the list for its type."""


def _parse_target(text: str) -> Target:
    file = Path(text)
    if not is_file(file):
        return _digest(text), _DEFAULT_LIST
    leaf = parse_chain(read_file(file)).leaf
    return leaf.digest, _LIST_OF_TYPE.get(leaf.type, _DEFAULT_LIST)


def _digest(text: str) -> bytes:
    try:
        if len(text) == _HEX_LENGTH:
            return binascii.unhexlify(text)
        return decode_base64(text, "the digest", DIGEST_LENGTH)
    except (InvalidMessage, ValueError):
        raise InvalidMessage(
            f"{text[:_HEX_LENGTH]!r} is neither a file nor a digest of {DIGEST_LENGTH} bytes in "
            "hexadecimal digits or base64"
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
    digest, proper = certificate
    editor = _editor(operator)
    if disallow:
        _print(digest, "is no longer on the allow list", editor.disallow(digest))
    else:
        name = list_name or proper
        _print(digest, f"is on the {name} list", editor.revoke(LISTS[name], digest))


@click.command()
@pass_operator
@click.option("--allow", is_flag=True, help="Leave it on its lists, and serve it nevertheless.")
@_certificate
def unrevoke(operator: Operator, *, allow: bool, certificate: Target) -> None:
    """Serve a revoked certificate again.

    It is a DIGEST in hexadecimal or base64, or the leaf in CHAINFILE.
    """
    digest, _ = certificate
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
    with operator.store.reading() as found:
        lists = [_list_facts(state) for state in found.revocations.find_lists()]
        revoked = [_revocation_facts(entry) for entry in found.revocations.find_all()]
        allowed = [
            {"digest": encode_base64(digest), "since": date_text(since)}
            for digest, since in found.revocations.find_allowed()
        ]
    if form == "json":
        print_json({"lists": lists, "revoked": revoked, "allowed": allowed})
        return
    print_list(form, lists, _LIST_COLUMNS)
    click.echo()
    print_list(form, revoked, _REVOKED_COLUMNS)
    click.echo()
    print_list(form, allowed, _ALLOWED_COLUMNS)


def _editor(operator: Operator) -> RevocationEditor:
    operator.refuse_missing_data()
    return RevocationEditor(operator.store, load_list_signer(operator.files), now)


def _print(digest: bytes, change: str, changed: NewVersions) -> None:
    click.echo(f"{encode_base64(digest)} {change}")
    versions = {**changed.lists, REVOCATION_INFO: changed.information}
    click.echo(", ".join(f"{NAMES[each]} version {number}" for each, number in versions.items()))


def _list_facts(state: "ListState") -> dict[str, object]:
    return {
        "name": NAMES[state.list_id],
        "id": state.list_id.base64,
        "version": state.version,
        "changed_at": date_text(state.changed_at),
    }


def _revocation_facts(entry: "Revocation") -> dict[str, object]:
    return {
        "digest": encode_base64(entry.digest),
        "list": NAMES[entry.list_id],
        "version": entry.version,
        "since": date_text(entry.since),
        "allowed": entry.allowed,
    }
