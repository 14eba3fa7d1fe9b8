"""Messages of metering: sealed ones open to the same, altered ones are refused."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import seeded_random
from rightsmanager.errors import InvalidMessage, ProtocolVersionMismatch, Refusal
from rightsmanager.protocol.formats.bcert import (
    CertificateType,
    Key,
    KeyUsage,
    Template,
    chain_under,
    issue,
    parse_chain,
)
from rightsmanager.protocol.formats.bcert.objects import Metering
from rightsmanager.protocol.messages import exchange
from rightsmanager.protocol.messages.exchange import ChallengeKeys, ClientInfo, seal_challenge
from rightsmanager.protocol.messages.metering import (
    DATA_FORM,
    MAX_VALUE,
    MeteringAnswer,
    MeteringChallenge,
    MeteringReport,
    Usage,
    metering_keys,
    open_certificate_request,
    open_certificate_response,
    open_metering_data,
    open_metering_response,
    read_metering_certificate,
    seal_certificate_request,
    seal_certificate_response,
    seal_metering_data,
    seal_metering_response,
)
from rightsmanager.protocol.wire import Kid, Mid, TransactionId
from rightsmanager.protocol.xml.envelope import parse_envelope
from tests.second import challenge as second
from tests.second import curve, world
from tests.second.metering import Report, read_report

BACKEND = choose_backend("portable")
SERVER = PrivateKey(world.SERVER.to_bytes(32, "big"))
DEVICE = PrivateKey(world.DEVICE_SIGNING.to_bytes(32, "big"))
SIGNER = PrivateKey(world.SIGNER.to_bytes(32, "big"))
METERING = PrivateKey(world.OTHER.to_bytes(32, "big"))
MID, OTHER_MID = Mid(bytes(range(16))), Mid(bytes(16))
TRANSACTION = TransactionId(bytes(range(16, 32)))
KID = Kid(bytes(16))
ASKING = ClientInfo((world.DEVICE_CHAIN,), world.NOW, "4.4.0.1")
REPORT = MeteringReport(MID, TRANSACTION, (Usage(KID, "Play", 3),))
PLAY = "<Action><Name>Play</Name><Value>3</Value></Action>"

Names = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=64
)
USAGE = st.dictionaries(
    st.tuples(
        st.binary(min_size=16, max_size=16),
        # What XML cannot say.
        Names.filter(lambda name: not set(name) & {"\ufffe", "\uffff"}),
    ),
    st.integers(1, MAX_VALUE),
    min_size=1,
    max_size=5,
)


def sealing() -> ChallengeKeys:
    return ChallengeKeys(DEVICE, METERING.public, BACKEND, seeded_random(b"metering"))


def keys(mid: Mid) -> Sequence[PrivateKey]:
    if mid != MID:
        raise InvalidMessage(f"{mid.text} is unknown")
    return (METERING,)


def sealed(report: MeteringReport = REPORT) -> bytes:
    return seal_metering_data(report, ASKING, sealing())


def opened(body: bytes, most: int = 10_000) -> MeteringChallenge:
    return open_metering_data(parse_envelope(body), metering_keys(keys), BACKEND, parse_chain, most)


def written(records: str, elements: str | None = None, *, key_name: str = MID.base64) -> bytes:
    """Return a report of parts that the builders cannot write."""
    told = elements or (
        f"<MeteringID>{MID.base64}</MeteringID><TransactionID>{TRANSACTION.text}</TransactionID>"
    )
    named = ChallengeKeys(DEVICE, METERING.public, BACKEND, seeded_random(b"metering"), key_name)
    return seal_challenge(DATA_FORM, told, records, ASKING, named)


def records(*each: str) -> str:
    return f"<MeteringRecords>{''.join(each)}</MeteringRecords>"


def record(*actions: str, kid: Kid = KID) -> str:
    return f"<Record><KID>{kid.base64}</KID>{''.join(actions)}</Record>"


def action(name: str, value: str) -> str:
    return f"<Action><Name>{name}</Name><Value>{value}</Value></Action>"


def enveloped(child: bytes) -> bytes:
    return b'<e:Envelope xmlns:e="%s"><e:Body>%s</e:Body></e:Envelope>' % (
        second.SOAP11.encode(),
        child,
    )


@given(usage=USAGE, partial=st.booleans())
def test_a_report_opens_to_what_was_sealed(
    usage: dict[tuple[bytes, str], int], *, partial: bool
) -> None:
    said = tuple(Usage(Kid(kid), name, value) for (kid, name), value in usage.items())
    challenge = opened(sealed(MeteringReport(MID, TRANSACTION, said, partial)))
    report = challenge.report
    assert (report.mid, report.transaction_id, report.partial) == (MID, TRANSACTION, partial)
    # Actions of one KID are gathered in one Record.
    assert set(report.usage) == set(said)
    assert len(report.usage) == len(said)
    assert challenge.records == len({each.kid for each in said})
    assert challenge.signer.raw == world.DEVICE_CHAIN
    assert [chain.raw for chain in challenge.chains] == [world.DEVICE_CHAIN]


def test_the_second_implementation_reads_a_report() -> None:
    usage = (
        Usage(KID, "Play & <more>", 3),
        Usage(KID, "Copy", MAX_VALUE),
        Usage(Kid(MID.raw), "\u00e9", 1),
    )
    body = sealed(MeteringReport(MID, TRANSACTION, usage, partial=True))
    read = read_report(body, world.OTHER, curve.public(world.ROOT), MID.raw)
    assert read == Report(
        MID.raw,
        TRANSACTION.raw,
        tuple((each.kid.raw, each.action, each.value) for each in usage),
        "1",
        "1",
    )


@given(st.data())
def test_every_altered_byte_of_a_report_is_refused(data: st.DataObject) -> None:
    body = sealed()
    at = data.draw(st.integers(0, len(body) - 1))
    altered = body[:at] + bytes([body[at] ^ 1 << data.draw(st.integers(0, 7))]) + body[at + 1 :]
    try:
        challenge = opened(altered)
    except Refusal:
        return
    assert challenge.report == REPORT


@pytest.mark.parametrize("value", ["1", "007", str(MAX_VALUE)])
def test_allowed_values_of_a_report(value: str) -> None:
    (usage,) = opened(written(records(record(action("Play", value))))).report.usage
    assert usage.value == int(value)


@pytest.mark.parametrize("value", ["0", "-1", "+1", "1.0", str(2**32), "9" * 40, "", "x", "\u0663"])
def test_any_other_value_is_refused(value: str) -> None:
    with pytest.raises(InvalidMessage, match="expected a decimal number from 1 to 4294967295"):
        opened(written(records(record(action("Play", value)))))


@pytest.mark.parametrize(
    "name", ["a", "a" * 64, "\U0001f3b5" * 64, " Play ", "\u202e", "&amp;&lt;"]
)
def test_allowed_names_of_a_report(name: str) -> None:
    (usage,) = opened(written(records(record(action(name, "1"))))).report.usage
    assert usage.action == name.replace("&amp;", "&").replace("&lt;", "<")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "Name has 0 characters, expected 1 to 64"),
        ("a" * 65, "Name has 65 characters, expected 1 to 64"),
        *(
            (f"Pl{control}ay", "expected no control characters")
            for control in ("\t", "\n", "&#xD;", "\x7f", "\x85", "\x9f")
        ),
        ("\nPlay\n", "expected no control characters"),
        ("Pl<b>a</b>y", "child nodes, expected text only"),
    ],
)
def test_any_other_name_is_refused(name: str, told: str) -> None:
    with pytest.raises(InvalidMessage, match=told):
        opened(written(records(record(action(name, "1")))))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (records(), "MeteringRecords has 0 Records, expected 1 to 3"),
        (records(*4 * (record(PLAY),)), "MeteringRecords has 4 Records, expected 1 to 3"),
        (records(record()), "has no Action, expected one or more"),
        (records(record(PLAY, PLAY)), "has 'Play' of KID .* twice"),
        (records(record(PLAY), record(PLAY)), "has 'Play' of KID .* twice"),
        (records(record("<Action><Name>Play</Name></Action>")), "no element Value"),
        (records(record("<Action><Value>1</Value></Action>")), "no element Name"),
        (records("<Record><KID>AAAA</KID></Record>"), "KID has 3 bytes, expected 16"),
        (records(f"<Record>{PLAY}</Record>"), "no element KID"),
        (records(record(f"<KID>{KID.base64}</KID>{PLAY}")), "several elements KID"),
        ("", "no element MeteringRecords"),
        (records(record(PLAY)) * 2, "several elements MeteringRecords"),
    ],
)
def test_an_invalid_report_is_refused(data: str, told: str) -> None:
    with pytest.raises(InvalidMessage, match=told):
        opened(written(data), most=3)


def test_two_records_of_a_kid_with_different_actions_are_two_records() -> None:
    challenge = opened(written(records(record(PLAY), record(action("Copy", "1")))))
    assert challenge.records == 2
    assert [each.action for each in challenge.report.usage] == ["Play", "Copy"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("<MeteringID>", "<MeteringIX>"), "no element MeteringID"),
        ((MID.base64, OTHER_MID.base64), "but the challenge is encrypted to the key of"),
        ((TRANSACTION.text, "x"), "TransactionID 'x' is not written"),
        (("</MeteringID>", "</MeteringID><Partial>2</Partial>"), "Partial is '2', expected 0 or 1"),
    ],
)
def test_invalid_elements_are_refused(change: tuple[str, str], told: str) -> None:
    elements = (
        f"<MeteringID>{MID.base64}</MeteringID><TransactionID>{TRANSACTION.text}</TransactionID>"
    ).replace(*change)
    if "MeteringIX" in elements:
        elements = elements.replace("</MeteringID>", "</MeteringIX>")
    with pytest.raises(InvalidMessage, match=told):
        opened(written(records(record(PLAY)), elements))


@pytest.mark.parametrize(
    ("key_name", "told"),
    [
        ("WMRMServer", "KeyName is 'WMRMServer', expected a metering id in base64"),
        ("AAAA", "KeyName is 'AAAA', expected a metering id in base64"),
        (OTHER_MID.base64, f"{OTHER_MID.text} is unknown"),
    ],
)
def test_a_report_under_another_key_name_is_refused(key_name: str, told: str) -> None:
    with pytest.raises(InvalidMessage, match=told):
        opened(written(records(record(PLAY)), key_name=key_name))


def test_a_report_encrypted_to_another_key_does_not_open() -> None:
    body = seal_metering_data(
        REPORT, ASKING, ChallengeKeys(DEVICE, SERVER.public, BACKEND, seeded_random(b"other"))
    )
    with pytest.raises(InvalidMessage, match="EncryptedData does not open"):
        opened(body)


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(exchange, "VERSION", 2)
        body = sealed()
    with pytest.raises(ProtocolVersionMismatch, match="Version 2"):
        opened(body)


def test_a_certificate_request_opens_to_what_was_sealed() -> None:
    body = seal_certificate_request(
        MID, ASKING, ChallengeKeys(DEVICE, SERVER.public, BACKEND, seeded_random(b"request"))
    )
    request = open_certificate_request(parse_envelope(body), (SERVER,), BACKEND, parse_chain)
    assert (request.mid, request.signer.raw) == (MID, world.DEVICE_CHAIN)


def test_a_reply_opens_to_what_was_sealed_and_verifies() -> None:
    answer = MeteringAnswer(MID, TRANSACTION, 7)
    child = seal_metering_response(answer, world.SIGNER_CHAIN, SIGNER)
    said, answered = open_metering_response(parse_envelope(enveloped(child)))
    assert said == answer
    answered.verify(SIGNER.public)
    child = seal_certificate_response(MID, b"chain", world.SIGNER_CHAIN, SIGNER)
    mid, chain, answered = open_certificate_response(parse_envelope(enveloped(child)))
    assert (mid, chain) == (MID, b"chain")
    answered.verify(SIGNER.public)


def test_an_altered_reply_does_not_verify() -> None:
    child = seal_metering_response(MeteringAnswer(MID, TRANSACTION, 7), world.SIGNER_CHAIN, SIGNER)
    altered = child.replace(b"<RecordsAccepted>7<", b"<RecordsAccepted>8<")
    _, answered = open_metering_response(parse_envelope(enveloped(altered)))
    with pytest.raises(InvalidMessage, match="it was altered after signing"):
        answered.verify(SIGNER.public)


@pytest.mark.parametrize(
    ("child", "read"),
    [
        (
            seal_metering_response(MeteringAnswer(MID, TRANSACTION, 7), b"", SIGNER),
            open_certificate_response,
        ),
        (seal_certificate_response(MID, b"", b"", SIGNER), open_metering_response),
    ],
)
def test_one_reply_is_not_taken_for_the_other(child: bytes, read: Callable[..., object]) -> None:
    with pytest.raises(InvalidMessage, match="expected"):
        read(parse_envelope(enveloped(child)))


def test_a_metering_certificate_has_its_id_and_address() -> None:
    template = Template(
        type=CertificateType.METERING,
        security_level=3000,
        certificate_id=bytes(16),
        keys=(Key(METERING.public, (KeyUsage.ENCRYPT_KEY,)),),
        objects=(Metering(MID, "http://127.0.0.1/"),),
    )
    read = read_metering_certificate(chain_under(issue(template, SERVER), None))
    assert (read.mid, read.url, read.key) == (MID, "http://127.0.0.1/", METERING.public)


def test_a_certificate_of_another_type_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="of type DEVICE, expected a metering certificate"):
        read_metering_certificate(parse_chain(world.DEVICE_CHAIN))
