"""`rightsmanager revoke`, `unrevoke` and `revocations`: whom the server no longer believes."""

import binascii
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from rightsmanager.cli.options import (
    data_option,
    json_option,
    key_files,
    made_store_of,
    settings_of,
)
from rightsmanager.cli.printing import print_table
from rightsmanager.errors import InvalidMessage
from rightsmanager.keyring import load_list_signer
from rightsmanager.operations.revocation import Changed, RevocationEditor
from rightsmanager.protocol.formats.bcert import CertificateType, parse_chain
from rightsmanager.protocol.formats.revocation import DIGEST_LENGTH, LISTS, NAMES, REVOCATION_INFO
from rightsmanager.protocol.wire import decode_base64, encode_base64
from rightsmanager.settings import Settings
from rightsmanager.store.revocations import ListState, Revocation

_HEX_LENGTH: Final = 2 * DIGEST_LENGTH
_LIST_OF_TYPE: Final = {
    CertificateType.PC: "pc",
    CertificateType.SILVERLIGHT: "application",
    CertificateType.APPLICATION: "application",
}
"""The list of a leaf's type; any other type is on the list of devices."""
_DEFAULT_LIST: Final = "device"

Named = tuple[bytes, str]
"""The digest of a certificate, and the name of the list that it belongs on."""


class CertificateParameter(click.ParamType[Named]):
    """A certificate by its digest, or as the leaf of the chain in a file."""

    name = "certificate"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Named:
        """Return digest and list; click shows what is wrong."""
        text = str(value)
        try:
            file = Path(text)
            return _leaf_of(file) if file.is_file() else (_digest(text), _DEFAULT_LIST)
        except (InvalidMessage, OSError) as error:
            self.fail(str(error), param, ctx)


_certificate: Final = click.argument(
    "certificate", metavar="DIGEST|CHAINFILE", type=CertificateParameter()
)


@click.command()
@data_option
@click.option(
    "--list",
    "list_name",
    type=click.Choice(list(LISTS)),
    help="The list it is put on. Default: by the leaf's type; for a digest alone, device.",
)
@click.option("--disallow", is_flag=True, help="Only take it off the allow list.")
@_certificate
def revoke(data: Path, list_name: str | None, *, disallow: bool, certificate: Named) -> None:
    """Refuse a certificate from now on: a DIGEST (hexadecimal or base64) or a CHAINFILE's leaf.

    All chains with the certificate are refused; that of an issuer takes all whom it certified.
    """
    digest, proper = certificate
    editor = _editor(settings_of(data))
    if disallow:
        changed = editor.disallow(digest)
        told = "is no longer on the allow list"
    else:
        name = list_name or proper
        changed = editor.revoke(LISTS[name], digest)
        told = f"is on the {name} list"
    _tell(digest, told, changed)


@click.command()
@data_option
@click.option("--allow", is_flag=True, help="Leave it on its lists, and serve it all the same.")
@_certificate
def unrevoke(data: Path, *, allow: bool, certificate: Named) -> None:
    """Serve a certificate again: a DIGEST (hexadecimal or base64) or a CHAINFILE's leaf."""
    digest, _ = certificate
    editor = _editor(settings_of(data))
    if allow:
        changed, told = editor.allow(digest), "is on the allow list"
    else:
        changed, told = editor.unrevoke(digest), "is on no list"
    _tell(digest, told, changed)


@click.command()
@data_option
@json_option
def revocations(data: Path, *, as_json: bool) -> None:
    """Show the lists, their versions, and the certificates on them."""
    with made_store_of(settings_of(data)).reading() as found:
        lists = [_list_facts(state) for state in found.revocations.find_lists()]
        revoked = [_revocation_facts(entry) for entry in found.revocations.find_all()]
        allowed = [
            {"digest": encode_base64(digest), "since": _date(since)}
            for digest, since in found.revocations.find_allowed()
        ]
    if as_json:
        facts = {"lists": lists, "revoked": revoked, "allowed": allowed}
        click.echo(json.dumps(facts, indent=2))
        return
    print_table(("list", "id", "version", "changed"), _rows(lists))
    click.echo()
    print_table(("revoked", "list", "version", "since", "allowed"), _rows(revoked))
    click.echo()
    print_table(("allowed", "since"), _rows(allowed))


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


def _leaf_of(file: Path) -> Named:
    leaf = parse_chain(file.read_bytes()).leaf
    return leaf.digest, _LIST_OF_TYPE.get(leaf.type, _DEFAULT_LIST)


def _editor(settings: Settings) -> RevocationEditor:
    signer = load_list_signer(key_files(settings.data))
    return RevocationEditor(made_store_of(settings), signer, lambda: int(time.time()))


def _tell(digest: bytes, told: str, changed: Changed) -> None:
    click.echo(f"{encode_base64(digest)} {told}")
    versions = {**changed.lists, REVOCATION_INFO: changed.information}
    click.echo(", ".join(f"{NAMES[each]} version {number}" for each, number in versions.items()))


def _list_facts(state: ListState) -> dict[str, Any]:
    return {
        "name": NAMES[state.list_id],
        "id": state.list_id.base64,
        "version": state.version,
        "changed_at": _date(state.changed_at),
    }


def _revocation_facts(entry: Revocation) -> dict[str, Any]:
    return {
        "digest": encode_base64(entry.digest),
        "list": NAMES[entry.list_id],
        "version": entry.version,
        "since": _date(entry.since),
        "allowed": entry.allowed,
    }


def _rows(facts: list[dict[str, Any]]) -> list[list[str]]:
    return [[_shown(value) for value in fact.values()] for fact in facts]


def _shown(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
