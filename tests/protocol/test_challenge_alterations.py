"""Altered challenges are refused or keep their meaning."""

import re
from contextlib import suppress
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.errors import InvalidMessage, ProtocolVersionMismatch
from rightsmanager.protocol.messages.challenge import LicenseChallenge
from tests.operations.subject import Opener, opener
from tests.second import challenge as second
from tests.second import world

REVOCATION = (
    "<RevocationLists><RevListInfo><ListID>ioydTlK2p0WXkWklprR5Hw==</ListID>"
    "<Version>7</Version></RevListInfo></RevocationLists>"
)
WISH = second.Wish(
    second.header_40(bytes(range(32, 48))),
    revocation=REVOCATION,
    custom_data="<CustomData>c</CustomData>",
)
DECLARATIONS = (
    '<soap:Envelope xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
)
BODY = second.challenge(world.CLIENT, WISH).replace(b"<soap:Envelope", DECLARATIONS.encode())

MEANINGLESS = (
    # The declaration is optional, and an altered one is an instruction.
    r"<\?(xml) ",
    r'version="1\.(0)"',
    r'encoding="(utf-8)"',
    # Prefixes that nothing uses.
    r'xmlns(:xsi="http://www\.w3\.org/2001/XMLSchema-instance)"',
    r'xmlns(:xsd="http://www\.w3\.org/2001/XMLSchema)"',
    # A declaration of the namespace that Signature has declared already.
    r"</SignatureValue><KeyInfo (xmlns)=",
)
"""Places where an altered byte does not change the meaning."""


@cache
def shared_opener() -> Opener:
    return opener()


@cache
def original() -> LicenseChallenge:
    return shared_opener().open(BODY)


def may_be_altered() -> set[int]:
    found: set[int] = set()
    for pattern in MEANINGLESS:
        match = re.search(pattern.encode(), BODY)
        assert match is not None
        found.update(range(*match.span(1)))
    return found


def refused(body: bytes) -> bool:
    """Return whether a message is refused; otherwise it must open like the original."""
    try:
        opened = shared_opener().open(body)
    except (InvalidMessage, ProtocolVersionMismatch):
        return True
    assert original() == opened
    return False


@pytest.mark.parametrize("bits", [0x01, 0x02, 0x04, 0x20, 0x80])
def test_every_altered_byte_of_meaning_is_refused(bits: int) -> None:
    altered = bytearray(BODY)
    unnoticed = set()
    for at in range(len(BODY)):
        altered[at] ^= bits
        if not refused(bytes(altered)):
            unnoticed.add(at)
        altered[at] ^= bits
    assert unnoticed <= may_be_altered()


def test_every_truncation_is_refused() -> None:
    assert all(refused(BODY[:length]) for length in range(len(BODY)))


def test_every_removed_or_doubled_byte_is_refused_or_without_effect() -> None:
    for at in range(len(BODY)):
        refused(BODY[:at] + BODY[at + 1 :])
        refused(BODY[:at] + BODY[at : at + 1] + BODY[at:])


PIECES = [
    *(b"<", b">", b"/", b"&", b'"', b"'", b" ", b"\r\n", b"=", b"\0", b"\xff", b"\xc3", b"&#0;"),
    *(b"<!-- x -->", b"<![CDATA[", b"]]>", b"<?x?>", b"<?x ", b"<!DOCTYPE x>", b"&amp;", b"&x;"),
    *(b'xmlns="a"', b'xmlns:r="a" ', b"LA", b"<LA>", b"</LA>", b"<LA/>", b"<Signature ", b"x:"),
    *(b"<EncryptedData ", b"<WRMHEADER ", b"A" * 300, b"1" * 40, b"<a>" * 300, b"&#xD;"),
]
SLICE = st.tuples(st.integers(0, len(BODY)), st.integers(0, 60))
TAGS = [match.start() for match in re.finditer(b"[<>]", BODY)]


@given(st.data())
def test_any_altered_message_is_refused_or_opens_to_the_same(data: st.DataObject) -> None:
    body = BODY
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)) | st.sampled_from(TAGS))
        end = start + data.draw(st.integers(0, 60))
        at, length = data.draw(SLICE)
        piece = data.draw(st.sampled_from(PIECES) | st.just(body[at : at + length]))
        body = body[:start] + piece + body[end:]
    refused(body)


LA = second.element(world.CLIENT, WISH)


@given(st.data())
def test_anything_signed_by_a_device_is_opened_or_refused(data: st.DataObject) -> None:
    la = LA
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(la)))
        piece = data.draw(st.sampled_from(PIECES)).decode(errors="replace")
        la = la[:start] + piece + la[start + data.draw(st.integers(0, 40)) :]
    with suppress(InvalidMessage, ProtocolVersionMismatch):
        shared_opener().open(second.sealed(world.CLIENT, la))


PLAINTEXT = second.data(world.DEVICE_CHAIN)


@given(st.data())
def test_anything_encrypted_by_a_device_is_opened_or_refused(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(PLAINTEXT)))
    piece = data.draw(st.sampled_from(PIECES)).decode(errors="replace")
    text = PLAINTEXT[:start] + piece + PLAINTEXT[start + data.draw(st.integers(0, 40)) :]
    with suppress(InvalidMessage):
        shared_opener().open(second.with_plaintext(world.CLIENT, WISH, text.encode()))


@given(st.binary(max_size=200))
def test_any_bytes_encrypted_by_a_device_are_opened_or_refused(plaintext: bytes) -> None:
    with pytest.raises(InvalidMessage):
        shared_opener().open(second.with_plaintext(world.CLIENT, WISH, plaintext))
