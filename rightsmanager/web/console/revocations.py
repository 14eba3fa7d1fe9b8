"""Revocation: the certificates that are refused, and the lists that devices get."""

from typing import Final

from rightsmanager.admin.revocations import RevokedFacts, parse_digest
from rightsmanager.protocol.formats.revocation import LISTS
from rightsmanager.protocol.wire import encode_base64
from rightsmanager.web.console.acts import OperatorAct
from rightsmanager.web.console.blocks import (
    BAD,
    OFF,
    Act,
    Asked,
    Cell,
    Empty,
    Field,
    Table,
    View,
    act_cell,
    code,
    link,
    number,
    state,
    time,
)
from rightsmanager.web.console.lists import MAX_ROWS, offset_table
from rightsmanager.web.console.parts import Parts

_EMPTY: Final = Empty(
    "No certificate is revoked. Revoke one to see how a player takes it:",
    "rightsmanager revoke DIGEST",
    Act("Revoke a certificate", "acts/revoke"),
)


def show_revocations(parts: Parts, asked: Asked) -> View:
    """Return the page of the revoked certificates, the allow list and the lists."""
    found = parts.management.revocations
    rows = [_row(each) for each in reversed(found.revoked)]
    allowed = tuple(
        (
            code(encode_base64(each.digest)),
            time(each.since),
            act_cell("Take off", link("acts/disallow", digest=each.digest.hex())),
        )
        for each in reversed(found.allowed[-MAX_ROWS:])
    )
    lists = tuple(
        (Cell(each.name), code(each.id), number(each.version), time(each.changed_at))
        for each in found.lists
    )
    columns = ("Certificate", "State", "List", "Version", "Since", "", "")
    return View(
        "Revocations",
        (
            offset_table(asked, "revocations", Table("Revoked", columns, (), _EMPTY), rows),
            Table(
                "Allowed nevertheless, the newest",
                ("Certificate", "Since", ""),
                allowed,
                _NOT_ALLOWED,
            ),
            Table("Lists", ("List", "Id", "Version", "Changed"), lists, _NO_LIST),
        ),
        lead="All chains with a revoked certificate are refused: that of an issuer covers "
        "everything that it certified.",
        acts=(Act("Revoke a certificate", "acts/revoke"),),
    )


_NOT_ALLOWED: Final = Empty("No certificate is on the allow list.")
_NO_LIST: Final = Empty("No list has a version yet: the first revocation makes one.")


def _row(entry: RevokedFacts) -> tuple[Cell, ...]:
    digest = entry.digest.hex()
    allow = act_cell("Allow", link("acts/allow", digest=digest))
    return (
        code(encode_base64(entry.digest), link("journal", text=encode_base64(entry.digest))),
        state("allowed", OFF) if entry.allowed else state("revoked", BAD),
        Cell(entry.list),
        number(entry.version),
        time(entry.since),
        act_cell() if entry.allowed else allow,
        act_cell("Unrevoke", link("acts/unrevoke", digest=digest)),
    )


# --- acts -----------------------------------------------------------------------------------------


def _to_list(_asked: Asked) -> str:
    return "revocations"


def _revoke(parts: Parts, asked: Asked) -> str:
    name = asked.choose("list", ("device", *LISTS))
    digest = parse_digest(asked.get("digest"))
    parts.management.revocation_editor().revoke(LISTS[name], digest)
    return "revocations"


def _unrevoke(parts: Parts, asked: Asked) -> str:
    parts.management.revocation_editor().unrevoke(parse_digest(asked.get("digest")))
    return "revocations"


def _allow(parts: Parts, asked: Asked) -> str:
    parts.management.revocation_editor().allow(parse_digest(asked.get("digest")))
    return "revocations"


def _disallow(parts: Parts, asked: Asked) -> str:
    parts.management.revocation_editor().disallow(parse_digest(asked.get("digest")))
    return "revocations"


_DIGEST: Final = Field("digest", "Certificate", kind="fixed")
_LISTS: Final = tuple((each, each) for each in ("device", *(LISTS.keys() - {"device"})))
REVOCATION_ACTS: Final = {
    "revoke": OperatorAct(
        "Revoke a certificate",
        "All chains with it are refused, and devices get the new list with their next licence.",
        "Revoke",
        "The certificate is revoked.",
        (
            Field("digest", "Digest", hint="hexadecimal digits or base64", is_required=True),
            Field("list", "List", kind="select", choices=_LISTS),
        ),
        _revoke,
        _to_list,
        is_danger=True,
    ),
    "unrevoke": OperatorAct(
        "Serve the certificate again?",
        "It is taken off every list.",
        "Unrevoke",
        "The certificate is on no list.",
        (_DIGEST,),
        _unrevoke,
        _to_list,
    ),
    "allow": OperatorAct(
        "Allow the certificate nevertheless?",
        "It stays on its lists, and is served.",
        "Allow",
        "The certificate is on the allow list.",
        (_DIGEST,),
        _allow,
        _to_list,
    ),
    "disallow": OperatorAct(
        "Take the certificate off the allow list?",
        "If it is on a revocation list, it is refused again.",
        "Take off",
        "The certificate is no longer on the allow list.",
        (_DIGEST,),
        _disallow,
        _to_list,
        is_danger=True,
    ),
}
