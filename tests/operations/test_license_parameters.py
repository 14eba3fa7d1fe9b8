"""The licence service issues what the URL or CustomData asks, as the second client reads it."""

from base64 import b64decode
from collections.abc import Mapping
from types import MappingProxyType
from xml.sax.saxutils import escape

import pytest

from rightsmanager.crypto.keyseed import TEST_KEY_SEED, content_key
from rightsmanager.crypto.random import seeded_random
from rightsmanager.device import Device, LicenseOpener, OpenedLicense
from rightsmanager.device.opening import open_reply
from rightsmanager.errors import DeviceCertificateRevoked, InvalidMessage, Refusal, ServiceSpecific
from rightsmanager.operations.context import Context
from rightsmanager.policy.decision import SPECIAL_CHAINED, SPECIAL_ROOT
from rightsmanager.policy.grants import Policy
from rightsmanager.protocol.formats.bcert import ChainVerifier, parse_chain
from rightsmanager.protocol.formats.wrmheader import parse_header
from rightsmanager.protocol.messages.response import LicenseResponse
from rightsmanager.protocol.wire import Kid
from rightsmanager.protocol.xml.envelope import parse_envelope
from rightsmanager.store.database import Store
from tests.operations.subject import (
    PORTABLE,
    ask,
    issued,
    make_context,
    private_key,
    public_key,
)
from tests.second import challenge as second
from tests.second import curve, world
from tests.second.reply import Reply, read_reply

KIDS = tuple(bytes([number]) * 16 for number in range(1, 4))
ONE = second.Wish(second.header_40(KIDS[0]))
SEVERAL = second.Wish(second.header_42(*KIDS), "4")
KEY = b64decode("EjQSNBI0EjQSNBI0EjQSNw==")
SEED = "Wdkg2jsl3djgqSFer26XVBoVVRPzVEggUOSKSQaz"
WEB_PLATFORM_TESTS = (
    "UseSimpleNonPersistentLicense=1&SecureStop=1"
    "&PlayEnablers=B621D91F-EDCC-4035-8D4B-DC71760D43E9"
    "&ContentKey=EjQSNBI0EjQSNBI0EjQSNw=="
)
ROOT = Kid.from_text("3C6F3C13-6207-4916-867C-8252B3993638")
TID = "3033e8f0-fb1b-4170-ad5c-60549aab2c79"


def custom(text: str) -> second.Wish:
    return second.Wish(ONE.header, custom_data=f"<CustomData>{escape(text)}</CustomData>")


def asked(context: Context, query: str, wish: second.Wish = ONE) -> Reply:
    reply = ask(context, second.challenge(world.CLIENT, wish), query)
    return read_reply(reply, world.DEVICE_ENCRYPTION, curve.public(world.ROOT))


def opened(
    context: Context,
    query: str,
    wish: second.Wish = ONE,
    roots: Mapping[Kid, bytes] = MappingProxyType({}),
) -> tuple[LicenseResponse, tuple[OpenedLicense, ...]]:
    """Return the reply as the project's own device opens it, which knows leaf licences."""
    reply = ask(context, second.challenge(world.CLIENT, wish), query)
    device = Device(
        parse_chain(world.DEVICE_CHAIN),
        private_key(world.DEVICE_SIGNING),
        private_key(world.DEVICE_ENCRYPTION),
    )
    head = f'<s:Envelope xmlns:s="{second.SOAP11}"><s:Body>'.encode()
    return open_reply(
        parse_envelope(head + reply + b"</s:Body></s:Envelope>"),
        LicenseOpener(device, ChainVerifier((public_key(world.ROOT),)), PORTABLE, roots=roots),
        parse_header(wish.header),
        second.NONCE,
        world.NOW,
    )


def refused(store: Store, query: str, wish: second.Wish = ONE) -> Refusal:
    with pytest.raises(Refusal) as caught:
        asked(make_context(store), query, wish)
    assert issued(store) == []
    return caught.value


@pytest.mark.parametrize(
    ("query", "level", "persistent"),
    [
        ("cfg=(kid:header,sl:2000,persist:false,contentkey:EjQSNBI0EjQSNBI0EjQSNw==)", 2000, False),
        ("cfg=(ck:EjQSNBI0EjQSNBI0EjQSNw==,persist:true)", 150, True),
        (
            WEB_PLATFORM_TESTS,
            150,
            False,
        ),
        ("SecurityLevel=2000&amp;ContentKey=EjQSNBI0EjQSNBI0EjQSNw==", 2000, True),
    ],
    ids=["cfg", "persistent", "web platform tests", "legacy"],
)
def test_the_content_key_is_the_one_in_the_url(
    store: Store, query: str, level: int, *, persistent: bool
) -> None:
    reply = asked(make_context(store), query)
    (license_,) = reply.licenses
    assert (license_.kid, license_.content_key) == (KIDS[0], KEY)
    assert int.from_bytes(license_.body(0x34), "big") == level
    assert license_.persistent == persistent
    assert reply.nonce == (second.NONCE if persistent else None)
    (row,) = issued(store)
    assert KEY.hex() not in row.policy
    assert "EjQSNBI0" not in row.policy


def test_a_key_seed_in_the_url_gives_the_content_key(store: Store) -> None:
    (license_,) = asked(make_context(store), f"cfg=(keyseed:{SEED})").licenses
    assert license_.content_key == content_key(b64decode(SEED), KIDS[0])


def test_a_key_in_the_url_takes_precedence_over_a_stored_key(store: Store) -> None:
    context, stored = make_context(store), bytes(range(16))
    sealed = context.content_keys.seal(Kid(KIDS[0]), stored, "aescbc", 0, seeded_random(b"seal"))
    with store.transaction() as transaction:
        assert transaction.content_keys.record(sealed)
    assert asked(context, "cfg=(sl:150)").licenses[0].content_key == stored
    query = (
        "cfg=(contentkey:EjQSNBI0EjQSNBI0EjQSNw==,keyseed:XVBovsmzhP9gRIZxWfFta3VVRPzVEWmJsazEJ46I)"
    )
    assert asked(context, query).licenses[0].content_key == KEY


def test_custom_data_counts_if_the_url_has_no_parameters(store: Store) -> None:
    wish = custom("json=[{'kid':'header','sl':'2000','ckt':'aescbc'}]")
    context = make_context(store)
    (license_,) = asked(context, "", wish).licenses
    assert (int.from_bytes(license_.body(0x34), "big"), license_.key_type) == (2000, 5)
    (license_,) = asked(context, "cfg=(persist:true)", wish).licenses
    assert (int.from_bytes(license_.body(0x34), "big"), license_.key_type) == (150, 1)


def test_custom_data_without_parameters_is_ignored(store: Store) -> None:
    (license_,) = asked(make_context(store), "", custom("<token> & more")).licenses
    assert license_.content_key == content_key(TEST_KEY_SEED, KIDS[0])


def test_transient_and_persistent_licences_of_one_reply_keep_the_rule_of_the_nonce(
    store: Store,
) -> None:
    groups = [
        f"(kid:{Kid(KIDS[0])})",
        f"(kid:{Kid(KIDS[1])},persist:true)",
        f"(kid:{Kid(KIDS[2])})",
    ]
    reply = asked(make_context(store), f"cfg={','.join(groups)}", SEVERAL)
    first, second_, third = (int.from_bytes(each.rights_id, "big") for each in reply.licenses)
    nonce = int.from_bytes(second.NONCE, "big")
    assert (first, third) == (nonce, nonce + 1)
    assert second_ not in (nonce, nonce + 1, nonce + 2)
    assert reply.nonce == second.NONCE


def test_the_reply_contains_the_transaction_id(store: Store) -> None:
    reply = asked(make_context(store), f"cfg=(tid:{TID})")
    assert f"<Acknowledgement><TransactionID>{TID}</TransactionID></Acknowledgement>" in reply.text


# --- root and leaf --------------------------------------------------------------------------------


def test_root_and_leaf_are_opened_one_through_the_other(store: Store) -> None:
    query = f"cfg=(rootid:{ROOT},kid:header),(isroot:true,kid:{ROOT},contentkey:{second.b64(KEY)})"
    _, (root, leaf) = opened(make_context(store), query)
    assert (root.kid, root.content_key, root.root_kid) == (ROOT, KEY, None)
    assert (leaf.kid.raw, leaf.root_kid) == (KIDS[0], ROOT)
    assert leaf.content_key == content_key(TEST_KEY_SEED, KIDS[0])
    assert leaf.license.rights_id == bytes([*second.NONCE[:-1], second.NONCE[-1] + 1])
    policies = {row.kid: row.policy for row in issued(store)}
    assert policies.pop(ROOT).endswith('"is_root":true}')
    (policy,) = policies.values()
    assert policy.endswith(f'"root_kid":"{ROOT}"}}')


def test_a_root_may_be_asked_for_alone(store: Store) -> None:
    _, (root,) = opened(make_context(store), f"cfg=(isroot:true,kid:{ROOT})")
    assert (root.kid, root.content_key) == (ROOT, content_key(TEST_KEY_SEED, ROOT.raw))


def test_a_leaf_may_be_asked_for_once_the_device_has_its_root(store: Store) -> None:
    context = make_context(store)
    _, (root,) = opened(context, f"cfg=(isroot:true,kid:{ROOT},contentkey:{second.b64(KEY)})")
    query = f"cfg=(rootid:{ROOT},kid:header)"
    _, (leaf,) = opened(context, query, roots={ROOT: root.content_key})
    assert (leaf.root_kid, leaf.content_key) == (ROOT, content_key(TEST_KEY_SEED, KIDS[0]))
    with pytest.raises(InvalidMessage, match="needs the root licence"):
        opened(context, query)


def test_a_leaf_is_chained_to_the_root_that_the_device_got_last(store: Store) -> None:
    context = make_context(store)
    for key in (KEY, bytes(16)):
        opened(context, f"cfg=(isroot:true,kid:{ROOT},contentkey:{second.b64(key)})")
    _, (leaf,) = opened(context, f"cfg=(rootid:{ROOT})", roots={ROOT: bytes(16)})
    assert leaf.content_key == content_key(TEST_KEY_SEED, KIDS[0])


def test_a_leaf_without_a_root_is_refused_by_name(store: Store) -> None:
    refusal = refused(store, f"cfg=(rootid:{ROOT})")
    assert f"rootid is {ROOT}, expected the kid of a group with isroot:true" in refusal.text
    assert "or of a root licence that the device got before" in refusal.text
    assert issued(store) == []


def test_a_key_of_old_test_content_gets_root_and_leaf_without_parameters(store: Store) -> None:
    wish = second.Wish(second.header_40(SPECIAL_CHAINED.raw))
    _, (root, leaf) = opened(make_context(store), "", wish)
    assert (root.kid, leaf.kid, leaf.root_kid) == (SPECIAL_ROOT, SPECIAL_CHAINED, SPECIAL_ROOT)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("cfg=(sl:3000)", "security level 3000"),
        ("cfg=(sl:151)", "sl is '151', expected 150, 2000 or 3000"),
        ("cfg=(persist:true,securestop:true)", "persist 'true' is given with securestop 'true'"),
        (f"cfg=(rootid:{ROOT})", "rootid"),
        ("cfg=(sl:150", "brackets"),
        ("cfg=(sl:150)&SecurityLevel=150", "contradict"),
    ],
)
def test_a_refused_request_records_nothing(store: Store, query: str, text: str) -> None:
    refusal = refused(store, query)
    assert isinstance(refusal, ServiceSpecific)
    assert text in refusal.text


def test_revoked_and_errors_come_on_request(store: Store) -> None:
    assert isinstance(refused(store, "cfg=(revoked:true)"), DeviceCertificateRevoked)
    redirect = refused(store, "cfg=(errorcode:0x8004c60d)")
    assert redirect.redirect_url == "http://127.0.0.1/rightsmanager.asmx"


def test_client_info_contains_the_facts_of_the_client(store: Store) -> None:
    told = refused(store, "cfg=(msg:clientinfo)").custom_data
    assert told is not None
    assert "    Client Version: 4.4.0.1\n" in told
    assert "    ManufacturerName: Second\n" in told


def test_a_repeat_of_a_request_with_parameters_is_answered_alike(store: Store) -> None:
    context = make_context(store, policy=Policy(valid_for=60))
    query = f"cfg=(persist:true,contentkey:{second.b64(KEY)})"
    first, again = asked(context, query), asked(context, query)
    assert len(issued(store)) == 1
    assert [(each.rights_id, each.content_key) for each in first.licenses] == [
        (each.rights_id, each.content_key) for each in again.licenses
    ]
