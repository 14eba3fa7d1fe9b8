"""Challenges in each form, and replies to other challenges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.crypto.random import seeded_random
from rightsmanager.device import (
    Challenge,
    Messages,
    ServerKeys,
    StreamInformation,
    Wrapping,
    header_of_kids,
    open_device,
    save_device,
)
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.protocol.formats.durations import parse_duration
from rightsmanager.protocol.wire import MESSAGES, PACKAGING, PROTOCOLS, Kid
from rightsmanager.protocol.xml.envelope import SoapVersion, parse_envelope
from rightsmanager.protocol.xml.parsing import parse_xml
from tests.operations.subject import public_key
from tests.second import world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rightsmanager.device import LicenseOpener

KID = Kid(bytes(range(16)))
SOAP11 = SoapVersion.SOAP11.namespace


@pytest.fixture
def messages(opening: LicenseOpener, tmp_path: Path) -> Iterator[Messages]:
    keys = ServerKeys(public_key(world.SERVER), public_key(world.ROOT))
    save_device(tmp_path / "device", opening.device, keys)
    rng = seeded_random(b"messages")
    with open_device(tmp_path / "device", rng=rng, clock=lambda: world.NOW) as device:
        yield Messages(device)


def challenges(messages: Messages) -> tuple[Challenge, ...]:
    start = parse_duration("PT0S", "offset")
    # CustomData with tags and the namespace of SOAP 1.1 has to stay as it is.
    custom_data = f"</Challenge></challenge><soap:Body>{SOAP11}"
    return (
        messages.acquire_license(header_of_kids([KID]), custom_data),
        messages.acquire_packaging_data([StreamInformation("</challenge>", start)]),
    )


def test_each_form_has_the_same_element(messages: Messages) -> None:
    for challenge in challenges(messages):
        for version, text in (("SOAP11", challenge.soap11), ("SOAP12", challenge.soap12)):
            envelope = parse_envelope(text)
            assert envelope.version is SoapVersion[version]
            assert envelope.operation == challenge.operation
        assert challenge.bare in challenge.soap11
        assert challenge.bare in challenge.soap12
        assert challenge.text(Wrapping.BARE) == challenge.bare
    tags = [parse_xml(each.bare, "it").tag for each in challenges(messages)]
    assert tags == [f"{{{MESSAGES}}}Challenge", f"{{{PACKAGING}}}challenge"]


def test_headers_name_the_action(messages: Messages) -> None:
    challenge, _ = challenges(messages)
    action = f"{PROTOCOLS}/AcquireLicense"
    assert challenge.headers() == {
        "Content-Type": "text/xml; charset=utf-8",
        "SOAPAction": f'"{action}"',
    }
    assert action in challenge.headers(Wrapping.SOAP12)["Content-Type"]


def test_a_folder_without_a_device_is_named(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="is not a device's folder"):
        open_device(tmp_path)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"<",
        b"<a/>",
        b"<Response/>",
        f"<Response xmlns='{MESSAGES}'/>".encode(),
        f"<Response xmlns='{MESSAGES}'><!-- --></Response>".encode(),
        f"<Response xmlns='{MESSAGES}'><LicenseResponse xmlns='{PROTOCOLS}'/></Response>".encode(),
        f"<AcquireLicenseResponse xmlns='{PROTOCOLS}'/>".encode(),
        f"<AcquireLicense xmlns='{PROTOCOLS}'/>".encode(),
        f"<OtherResponse xmlns='{PROTOCOLS}'/>".encode(),
        f"<Envelope xmlns='{SOAP11}'><Body><a/></Body></Envelope>".encode(),
    ],
)
def test_other_texts_are_refused(messages: Messages, reply: bytes) -> None:
    with pytest.raises(InvalidMessage):
        messages.accept(reply)


# The fixture's device is only read.
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(reply: bytes) -> None:
    with pytest.raises(InvalidMessage):
        from_nowhere().accept(reply)


def from_nowhere() -> Messages:
    """Return messages without a device: other texts are refused before it is needed."""
    return Messages(None)  # type: ignore[arg-type]
