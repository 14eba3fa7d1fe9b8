"""The device refuses an altered reply and names the check."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from rightsmanager.device import Acquired, Post, post
from rightsmanager.errors import ConnectionFailed, InvalidMessage
from rightsmanager.protocol.formats.xmr.license import parse_license
from rightsmanager.protocol.formats.xmr.objects import ContentKey
from tests.databases import on_sqlite

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Client, Enrol, HeaderOf, Server, Start

pytestmark = on_sqlite
KID, OTHER = "4Rplb+TbNES8tGkNFWTEHA==", "7987aj+eE0uBlXi0N73AQw=="

Alter = Callable[[bytes], bytes]


def on_the_way(alter: Alter) -> Post:
    return lambda url, action, body: alter(post(url, action, body))


def text_in(reply: bytes, name: str) -> bytes:
    found = re.search(rb"<%s>([^<]*)</%s>" % (name.encode(), name.encode()), reply)
    assert found is not None, name
    return found[1]


def flip(reply: bytes, name: str, position: int) -> bytes:
    """Return the reply with a bit flipped in the base64 of an element."""
    text = text_in(reply, name)
    data = bytearray(b64decode(text))
    data[position] ^= 1
    return reply.replace(text, b64encode(data))


def unsigned(reply: bytes) -> bytes:
    """Return the reply without its signature."""
    reply = re.sub(rb"<Signature .*</Signature>", b"", reply)
    return re.sub(rb"<SigningCertificateChain>.*</SigningCertificateChain>", b"", reply)


@pytest.fixture
def acquire(server: Server, client: Client, header_of: HeaderOf) -> Callable[[Alter], Acquired]:
    return lambda alter: client.acquire(server.url, header_of(KID), post=on_the_way(alter))


def test_untouched_it_is_accepted(acquire: Callable[[Alter], Acquired]) -> None:
    assert len(acquire(lambda reply: reply).licenses) == 1
    assert len(acquire(unsigned).licenses) == 1


@pytest.mark.parametrize(
    ("alter", "check"),
    [
        (lambda reply: flip(reply, "SignatureValue", 40), "SignatureValue does not verify"),
        (lambda reply: flip(reply, "DigestValue", 0), "DigestValue is not the SHA-256"),
        (lambda reply: flip(reply, "ResponseID", 0), "DigestValue is not the SHA-256"),
        (lambda reply: flip(reply, "License", 60), "DigestValue is not the SHA-256"),
        (lambda reply: flip(reply, "SigningCertificateChain", -100), "DigestValue|certificate"),
        (lambda reply: re.sub(rb"<Signing.*Chain>", b"", reply), "no SigningCertificateChain"),
        # The last bytes are the CMAC itself, the 40th belongs to the policy.
        (lambda reply: flip(unsigned(reply), "License", -1), "AES-CMAC tag does not verify"),
        (lambda reply: flip(unsigned(reply), "License", 24), "AES-CMAC tag|XMR"),
        (lambda reply: reply.replace(b"LicenseResponse", b"LicenceResponse"), "LicenseResponse"),
        (lambda reply: reply[: len(reply) // 2], "not well-formed"),
        (lambda _: b"", "empty body"),
    ],
    ids=[
        *("signature", "digest", "signed text", "signed licence", "chain", "no chain"),
        *("CMAC", "licence byte", "element", "half", "nothing"),
    ],
)
def test_the_check_that_failed_is_named(
    acquire: Callable[[Alter], Acquired], alter: Alter, check: str
) -> None:
    with pytest.raises((InvalidMessage, ConnectionFailed), match=check):
        acquire(alter)


def test_every_altered_byte_of_a_licence_is_refused(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    header = header_of(KID)
    body = client.challenge(header, nonce=bytes(16))
    reply = unsigned(server.post(body).body)
    size = len(b64decode(text_in(reply, "License")))
    for position in range(0, size, 7):
        altered = flip(reply, "License", position)
        with pytest.raises(InvalidMessage):
            client.acquire(server.url, header, post=lambda *_, answer=altered: answer)


def test_the_chain_of_another_server_is_refused(
    server: Server,
    client: Client,
    start: Start,
    enrol: Enrol,
    *,
    header_of: HeaderOf,
    tmp_path: Path,
) -> None:
    other = start(tmp_path / "other")
    stranger = enrol(other.data)

    def posted_elsewhere(_url: str, _action: str, _body: bytes) -> bytes:
        return other.post(stranger.challenge(header_of(KID))).body

    with pytest.raises(InvalidMessage, match="issued by a key that is not a trust anchor"):
        client.acquire(server.url, header_of(KID), post=posted_elsewhere)
    # And the reverse: that server refuses this server's devices.
    to_other = replace(client, server=stranger.server)
    with pytest.raises(InvalidMessage, match="issued by a key that is not a trust anchor"):
        to_other.acquire(other.url, header_of(KID))


def test_a_challenge_for_another_server_does_not_open(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    stray = replace(client.server, wmrmserver=client.server.root)
    with pytest.raises(InvalidMessage, match="EncryptedData does not open"):
        replace(client, server=stray).acquire(server.url, header_of(KID))


def test_a_licence_of_another_device_is_refused(
    server: Server, client: Client, enrol: Enrol, header_of: HeaderOf
) -> None:
    neighbour = enrol(server.data)

    def posted_by_the_neighbour(_url: str, _action: str, _body: bytes) -> bytes:
        return server.post(neighbour.challenge(header_of(KID))).body

    with pytest.raises(InvalidMessage, match="bound to another device's key"):
        client.acquire(server.url, header_of(KID), post=posted_by_the_neighbour)


def test_the_reply_to_an_earlier_challenge_is_refused(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    earlier = server.post(client.challenge(header_of(KID))).body
    with pytest.raises(InvalidMessage, match="not the challenge's LicenseNonce plus 0"):
        client.acquire(server.url, header_of(KID), post=lambda *_: earlier)


def test_a_content_key_that_is_not_the_headers_is_refused(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    header = header_of(KID, OTHER, version="4.2.0.0")
    first, second = header.kids
    wrong = replace(header, kids=(first, replace(second, checksum=bytes(8))))
    with pytest.raises(InvalidMessage, match=f"CHECKSUM of KID {second.kid}"):
        client.acquire(server.url, wrong)


def test_the_licences_in_another_order_are_refused(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    def swap(reply: bytes) -> bytes:
        return re.sub(
            rb"(<License>.*?</License>)(<License>.*?</License>)", rb"\2\1", unsigned(reply)
        )

    header = header_of(KID, OTHER, version="4.2.0.0")
    with pytest.raises(InvalidMessage, match="LicenseNonce plus 0"):
        client.acquire(server.url, header, post=on_the_way(swap))


def test_two_licences_never_share_their_keys_ciphertext(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    values = set()
    for _ in range(3):
        (license_,) = client.acquire(server.url, header_of(KID)).licenses
        (key,) = parse_license(license_.raw).find_all(ContentKey)
        values |= {key.value[:64], key.value[64:]}
    assert len(values) == 6
