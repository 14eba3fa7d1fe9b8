"""Information on a client as plain text."""

import pytest

from rightsmanager.policy.device import Device
from rightsmanager.policy.reflection import client_info
from rightsmanager.protocol.formats.bcert import Chain, parse_chain
from tests.second import certificates as cert
from tests.second import world


def chain_with(*features: int) -> Chain:
    leaf = cert.Subject(cert.DEVICE, world.DEVICE_KEYS, features=features)
    return parse_chain(world.device_chain(leaf))


def b64_facts(chain: Chain) -> tuple[list[str], list[str]]:
    """Return the digests of all certificates and the issuer keys."""
    lines = client_info(Device("", chain, client_version="1", client_time=0)).splitlines()
    digests = [line.split(": ")[1] for line in lines if "DigestValue" in line]
    keys = [line.split(": ")[1] for line in lines if "IssuerKey" in line]
    return digests, keys


def test_it_is_one_field_a_line_deeper_for_each_certificate() -> None:
    chain = chain_with(2, 3, 4, 5, 9, 13)
    (digest, issuer_digest), (key,) = b64_facts(chain)
    assert client_info(
        Device("", chain, client_version="10.0.16384.10011", client_time=1506866400)
    ) == (
        "Client Info:\n"
        "    Client Version: 10.0.16384.10011\n"
        "    Client Time: 10/01/2017 2:00:00 PM\n"
        "\n"
        "Supported Features:\n"
        "    Receiver\n"
        "    SharedCertificate\n"
        "    SecureClock\n"
        "    AntiRollbackClock\n"
        "    RevocationLists\n"
        "    PlayReady3Features\n"
        "\n"
        "Device Certificate Info (Cert 0):\n"
        "    Type: Device\n"
        "    SecurityLevel: 2000\n"
        "    ManufacturerName: Second\n"
        "    ModelName: Client\n"
        "    ModelNumber: 2\n"
        f"    DigestValue: {digest}\n"
        f"    IssuerKey: {key}\n"
        "\n"
        "Certificate Chain:\n"
        "\n"
        "↳ Cert 1:\n"
        "    ManufacturerName: Second\n"
        "    ModelName: Client\n"
        "    ModelNumber: 2\n"
        f"    DigestValue: {issuer_digest}\n"
    )
    assert [len(value) for value in (digest, key)] == [44, 88]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "01/01/1970 12:00:00 AM"),
        (1506816000, "10/01/2017 12:00:00 AM"),
        (1506859200, "10/01/2017 12:00:00 PM"),
        (1506862799, "10/01/2017 12:59:59 PM"),
        (10**20, str(10**20)),
    ],
)
def test_the_clients_time_is_shown(seconds: int, text: str) -> None:
    told = client_info(Device("", chain_with(), client_version="1", client_time=seconds))
    assert f"    Client Time: {text}\n" in told


def test_unknown_features_are_shown_as_numbers() -> None:
    assert "Supported Features:\n    Transmitter\n    77\n" in client_info(
        Device("", chain_with(1, 77), client_version="1", client_time=0)
    )


def test_each_further_certificate_is_indented_more() -> None:
    leaf = cert.Subject(cert.DEVICE, world.DEVICE_KEYS)
    chain = parse_chain(
        world.device_chain(
            leaf,
            world.issuer(world.DEVICE_ISSUER, cert.ISSUE_DEVICE, by=world.OTHER),
            world.issuer(world.OTHER, cert.ISSUE_DEVICE),
        )
    )
    told = client_info(Device("", chain, client_version="1", client_time=0))
    assert "\n\n↳ Cert 1:\n    ManufacturerName: Second\n" in told
    assert "\n\n    ↳ Cert 2:\n        ManufacturerName: Second\n" in told
