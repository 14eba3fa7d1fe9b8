"""ProcessDeleteLicenseData: a client reports the persistent licences that it has deleted.

    DeleteLicenseData                no elements of its own
    Data                             SessionID (base64), KIDs/KID (base64), one or more, each once
    DeleteLicenseResponse            SessionID (base64); neither signed nor encrypted

It is public that the challenge holds a session id and the KIDs, and that the reply is plain and
holds the session id, which the client compares. The form is a profile of this project: see
`exchange`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from lxml import etree

from rightsmanager.crypto import p256
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.bcert import Chain
from rightsmanager.protocol.messages.challenge import server_keys
from rightsmanager.protocol.messages.exchange import (
    ChallengeKeys,
    ClientInfo,
    MessageNames,
    open_challenge,
    open_unsigned_reply,
    seal_challenge,
    seal_unsigned_reply,
)
from rightsmanager.protocol.wire import Kid, SessionId
from rightsmanager.protocol.xml.elements import Fields, child, plain_text, text_of
from rightsmanager.protocol.xml.envelope import Envelope

FORM: Final = MessageNames("ProcessDeleteLicenseData", "DeleteLicenseData", "DeleteLicenseResponse")
MAX_KIDS: Final = 1000
"""Default of the most KIDs in a message."""


@dataclass(frozen=True, slots=True)
class DeleteLicenseChallenge:
    """A ProcessDeleteLicenseData challenge."""

    session_id: SessionId
    kids: tuple[Kid, ...]
    """One or more, each once."""
    chains: tuple[Chain, ...]
    signer: Chain
    """The chain of the device that signed the challenge."""
    elements: Fields = field(repr=False, compare=False)
    """The children of E, for `exchange.read_client`."""


# --- the challenge --------------------------------------------------------------------------------


def open_delete_license(
    envelope: Envelope,
    keys: Sequence[p256.PrivateKey],
    backend: p256.Backend,
    parse_chain: Callable[[bytes], Chain],
    max_kids: int = MAX_KIDS,
) -> DeleteLicenseChallenge:
    """Return a ProcessDeleteLicenseData challenge.

    Raises InvalidMessage, and ProtocolVersionMismatch for another Version than 1.
    """
    opened = open_challenge(envelope, FORM, server_keys(keys), backend, parse_chain)
    return DeleteLicenseChallenge(
        session_id=SessionId.from_base64(text_of(opened.data, "", "SessionID")),
        kids=_kids(opened.data, max_kids),
        chains=opened.chains,
        signer=opened.signer,
        elements=opened.fields,
    )


def seal_delete_license(
    session_id: SessionId, kids: Sequence[Kid], client: ClientInfo, keys: ChallengeKeys
) -> bytes:
    """Return the SOAP 1.1 envelope of a ProcessDeleteLicenseData challenge."""
    elements = "".join(f"<KID>{kid.base64}</KID>" for kid in kids)
    data = f"{_build_session_id(session_id)}<KIDs>{elements}</KIDs>"
    return seal_challenge(FORM, "", data, client, keys)


def _kids(data: etree._Element, max_kids: int) -> tuple[Kid, ...]:
    elements = child(data, "", "KIDs").findall("KID")
    if not 0 < len(elements) <= max_kids:
        raise InvalidMessage(f"KIDs has {len(elements)} KID, expected 1 to {max_kids}")
    kids = tuple(Kid.from_base64(plain_text(element)) for element in elements)
    if len(set(kids)) < len(kids):
        raise InvalidMessage("KIDs has a KID twice, expected each once")
    return kids


# --- the reply ------------------------------------------------------------------------------------


def seal_delete_license_response(session_id: SessionId, *, custom_data: str | None = None) -> bytes:
    """Return the Body's child: the plain reply to ProcessDeleteLicenseData."""
    return seal_unsigned_reply(FORM, _build_session_id(session_id), custom_data=custom_data)


def open_delete_license_response(envelope: Envelope) -> tuple[SessionId, str | None]:
    """Return the session id and the CustomData of a reply to ProcessDeleteLicenseData.

    Raises InvalidMessage.
    """
    fields = open_unsigned_reply(envelope, FORM)
    return SessionId.from_base64(fields.text("SessionID")), fields.optional_text("CustomData")


def _build_session_id(session_id: SessionId) -> str:
    return f"<SessionID>{session_id.base64}</SessionID>"
