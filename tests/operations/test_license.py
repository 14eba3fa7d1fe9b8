"""Licences are issued as the policy says, recorded once, and the same for the same request."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256

import pytest

from rightsmanager.crypto.keyseed import TEST_KEY_SEED, content_key
from rightsmanager.crypto.p256_backends import available_backends
from rightsmanager.crypto.random import seeded_random
from rightsmanager.errors import InvalidMessage, ServiceSpecific
from rightsmanager.operations.acquire_license import acquire_license
from rightsmanager.operations.context import Context
from rightsmanager.policy.grants import OutputLevels, Policy
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.database import Store, open_store
from tests.databases import NewDatabase
from tests.operations.subject import ask, issued, make_context, request
from tests.second import certificates as cert
from tests.second import challenge as second
from tests.second import curve, world
from tests.second.reply import License, Reply, read_reply

KIDS = tuple(bytes([number]) * 16 for number in range(1, 6))
ONE = second.Wish(second.header_40(KIDS[0]))
SEVERAL = second.Wish(second.header_42(*KIDS), "4")
PERSISTENT = Policy(persistent=True)
DEVICE_ID = second.b64(sha256(curve.point_bytes(curve.public(world.DEVICE_SIGNING))).digest())


def asked(
    context: Context,
    wish: second.Wish,
    query: str = "",
    client: second.Client = world.CLIENT,
) -> Reply:
    """Return the reply to a wish, read and verified by the second client."""
    reply = ask(context, second.challenge(client, wish), query)
    return read_reply(reply, client.encryption, curve.public(world.ROOT))


def essence(reply: Reply) -> list[tuple[bytes, bytes, bytes]]:
    return [(each.rights_id, each.kid, each.content_key) for each in reply.licenses]


def plus(count: int, nonce: bytes = second.NONCE) -> bytes:
    return ((int.from_bytes(nonce, "big") + count) % 2**128).to_bytes(16, "big")


def test_a_licence_is_for_the_headers_key_and_for_this_device(store: Store) -> None:
    (license_,) = asked(make_context(store), ONE).licenses
    assert KIDS[0] == license_.kid
    assert content_key(TEST_KEY_SEED, KIDS[0]) == license_.content_key
    assert license_.rights_id == second.NONCE
    assert not license_.persistent


def test_a_licence_for_another_device_does_not_open_here(store: Store) -> None:
    reply = ask(make_context(store), second.challenge(world.CLIENT, ONE))
    with pytest.raises(AssertionError):
        read_reply(reply, world.OTHER, curve.public(world.ROOT))


def test_several_licences_have_the_nonce_and_what_follows_it(store: Store) -> None:
    licenses = asked(make_context(store), SEVERAL).licenses
    assert list(KIDS) == [each.kid for each in licenses]
    assert [plus(count) for count in range(5)] == [each.rights_id for each in licenses]
    assert [content_key(TEST_KEY_SEED, kid) for kid in KIDS] == [e.content_key for e in licenses]


def test_rights_ids_wrap_where_the_nonce_is_the_last_number(store: Store) -> None:
    nonce = b"\xff" * 15 + b"\xfe"
    licenses = asked(make_context(store), replace(SEVERAL, nonce=nonce)).licenses
    assert [plus(count, nonce) for count in range(5)] == [each.rights_id for each in licenses]
    assert licenses[2].rights_id == bytes(16)


def test_persistent_licences_have_random_rights_ids_and_the_nonce_is_echoed(store: Store) -> None:
    reply = asked(make_context(store, policy=PERSISTENT), SEVERAL)
    rights_ids = {each.rights_id for each in reply.licenses}
    assert all(each.persistent for each in reply.licenses)
    assert len(rights_ids) == 5
    assert rights_ids.isdisjoint(plus(count) for count in range(5))
    assert reply.nonce == second.NONCE


def test_without_a_persistent_licence_no_nonce_is_echoed(store: Store) -> None:
    assert asked(make_context(store), SEVERAL).nonce is None


@pytest.mark.parametrize("always", [True, False])
@pytest.mark.parametrize("persistent", [True, False])
def test_a_reply_is_signed_when_it_must_be(store: Store, *, always: bool, persistent: bool) -> None:
    reply = asked(make_context(store, policy=Policy(persistent=persistent), always=always), ONE)
    assert reply.signed == (always or persistent)
    assert ("SigningCertificateChain" in reply.names) == reply.signed


def test_a_header_that_asks_for_no_licence_gets_none(store: Store) -> None:
    header = second.header_43(KIDS[0]).replace(
        "<PROTECTINFO>", '<PROTECTINFO LICENSEREQUESTED="false">'
    )
    reply = asked(make_context(store), second.Wish(header, "5"))
    assert reply.licenses == ()
    assert issued(store) == []


@pytest.mark.parametrize(("algid", "key_type"), [("AESCTR", 1), ("AESCBC", 5), (None, 1)], ids=str)
def test_the_key_type_is_the_headers(store: Store, algid: str | None, key_type: int) -> None:
    wish = second.Wish(second.header_43(KIDS[0], algid=algid), "5")
    (license_,) = asked(make_context(store), wish).licenses
    assert key_type == license_.key_type


@pytest.mark.parametrize(
    ("stored", "algid", "key_type"),
    [
        ("aescbc", None, 5),
        ("aesctr", None, 1),
        ("aescbc", "AESCTR", 1),
        ("aesctr", "AESCBC", 5),
    ],
)
def test_a_stored_key_is_licensed_with_its_type_where_the_header_has_none(
    store: Store, stored: str, algid: str | None, key_type: int
) -> None:
    context, key = make_context(store), bytes(range(100, 116))
    sealed = context.content_keys.seal(Kid(KIDS[0]), key, stored, 0, seeded_random(b"seal"))
    with store.transaction() as transaction:
        assert transaction.content_keys.record(sealed)
    wish = second.Wish(second.header_43(*KIDS, algid=algid), "5")
    first, second_, *_ = asked(context, wish).licenses
    assert (key, key_type) == (first.content_key, first.key_type)
    assert content_key(TEST_KEY_SEED, KIDS[1]) == second_.content_key
    assert second_.key_type == {None: 1, "AESCTR": 1, "AESCBC": 5}[algid]


def u16s(body: bytes) -> list[int]:
    return [int.from_bytes(body[at : at + 2], "big") for at in range(0, len(body), 2)]


def only_license(store: Store, policy: Policy) -> License:
    (license_,) = asked(make_context(store, policy=policy), ONE).licenses
    return license_


def test_the_licence_contains_the_policy(store: Store) -> None:
    policy = Policy(security_level=2000, valid_for=60, output_levels=OutputLevels(1, 2, 3, 4, 5))
    license_ = only_license(store, policy)
    kinds = [kind for _, kind, _ in license_.objects]
    assert kinds == [1, 2, 0x34, 0x33, 0x0D, 0x13, 0x12, 4, 5, 9, 0x0A, 0x2A, 0x0B]
    assert u16s(license_.body(0x34)) == [2000]
    assert u16s(license_.body(0x33)) == [1]
    assert u16s(license_.body(0x0D)) == [1]
    assert license_.body(0x13) == world.NOW.to_bytes(4, "big")
    assert license_.body(0x12) == bytes(4) + (world.NOW + 60).to_bytes(4, "big")
    assert u16s(license_.body(5)) == [1, 2, 3, 4, 5]


def test_a_policy_without_the_right_to_play_gives_no_playback_policy(store: Store) -> None:
    kinds = [kind for _, kind, _ in only_license(store, Policy(play=False)).objects]
    assert kinds == [1, 2, 0x34, 0x33, 0x0D, 0x13, 9, 0x0A, 0x2A, 0x0B]


def test_the_record_says_who_got_what(store: Store) -> None:
    asked(make_context(store), SEVERAL)
    rows = issued(store)
    assert list(KIDS) == [row.kid.raw for row in rows]
    assert [row.ordinal for row in rows] == [0, 1, 2, 3, 4]
    assert [plus(count) for count in range(5)] == [row.license_id for row in rows]
    assert {DEVICE_ID} == {row.device for row in rows}
    assert {world.NOW} == {row.issued_at for row in rows}
    assert all('"security_level":150' in row.policy for row in rows)
    assert all(second.b64(content_key(TEST_KEY_SEED, KIDS[0])) not in row.policy for row in rows)


@pytest.mark.parametrize("policy", [Policy(), PERSISTENT], ids=["transient", "persistent"])
def test_a_repeat_is_recorded_once_and_answered_alike(store: Store, policy: Policy) -> None:
    context = make_context(store, policy=policy)
    replies = [asked(context, SEVERAL) for _ in range(3)]
    assert len(issued(store)) == 5
    assert essence(replies[0]) == essence(replies[1]) == essence(replies[2])
    assert len({reply.response_id for reply in replies}) == 3


def test_a_repeat_is_known_to_another_process(store: Store) -> None:
    first, again = (
        make_context(store, policy=PERSISTENT, rng=seeded_random(seed)) for seed in (b"1", b"2")
    )
    assert essence(asked(first, SEVERAL)) == essence(asked(again, SEVERAL))
    assert len(issued(store)) == 5


def test_the_same_request_at_the_same_time_is_recorded_once(store: Store) -> None:
    context = make_context(store, policy=PERSISTENT)
    body = second.challenge(world.CLIENT, SEVERAL)
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: ask(context, body), range(24)))
    root = curve.public(world.ROOT)
    found = [essence(read_reply(reply, world.DEVICE_ENCRYPTION, root)) for reply in replies]
    assert [found[0]] * 24 == found
    assert len(issued(store)) == 5


def test_what_differs_in_anything_is_another_request(store: Store) -> None:
    other_leaf = cert.Subject(cert.DEVICE, ((world.OTHER, (cert.SIGN, cert.ENCRYPT)),))
    other = second.Client(
        world.device_chain(other_leaf), world.OTHER, world.OTHER, world.CLIENT.server
    )
    context = make_context(store, policy=PERSISTENT)
    replies = [
        asked(context, ONE),
        asked(context, replace(ONE, nonce=bytes(16))),
        asked(context, replace(ONE, time="1790000001")),
        asked(context, ONE, query="cfg=(persist:true,sl:2000)"),
        asked(context, ONE, client=other),
    ]
    assert len(issued(store)) == 5
    assert len({reply.licenses[0].rights_id for reply in replies}) == 5


@pytest.mark.parametrize("policy", [Policy(), PERSISTENT], ids=["transient", "persistent"])
def test_a_seed_and_a_fixed_clock_give_the_same_bytes_on_every_back_end(
    new_database: NewDatabase, policy: Policy
) -> None:
    replies = set()
    for backend in (*available_backends(), *available_backends()):
        store = open_store(new_database())
        context = make_context(store, policy=policy, backend=backend)
        for wish in (ONE, SEVERAL, ONE):
            replies.add((wish.version, ask(context, second.challenge(world.CLIENT, wish))))
        store.close()
    # The repeat is answered with the same licences under new integrity keys and a new id.
    assert len(replies) == 3


def test_every_spelling_of_a_wish_is_answered_with_the_same_bytes(
    new_database: NewDatabase,
) -> None:
    la = second.element(world.CLIENT, ONE)
    body = second.sealed(world.CLIENT, la)
    replies = set()
    for spelling in (
        body,
        body.decode().encode("utf-16"),
        body.replace(b"<soap:Body>", b"<soap:Body><!-- c -->"),
        body.replace(la.encode(), la.replace('"', "'").encode()),
    ):
        store = open_store(new_database())
        replies.add(ask(make_context(store), spelling))
        store.close()
    assert len(replies) == 1


WITHOUT_KIDS = {
    "4.1": (f'<WRMHEADER xmlns="{second.H}" version="4.1.0.0"><DATA></DATA></WRMHEADER>', "1"),
    "4.2": (
        f'<WRMHEADER xmlns="{second.H}" version="4.2.0.0"><DATA><x></x></DATA></WRMHEADER>',
        "4",
    ),
    "4.3": (f'<WRMHEADER xmlns="{second.H}" version="4.3.0.0"></WRMHEADER>', "5"),
}


@pytest.mark.parametrize("version", WITHOUT_KIDS)
def test_a_header_without_kids_leaves_them_to_the_request(store: Store, version: str) -> None:
    wish = second.Wish(*WITHOUT_KIDS[version])
    kid = Kid(KIDS[0])
    reply = asked(make_context(store), wish, f"cfg=(kid:{kid.text})")
    assert [each.kid for each in reply.licenses] == [kid.raw]
    with pytest.raises(ServiceSpecific, match="the header has no KID"):
        asked(make_context(store), wish)


def test_a_request_for_the_time_alone_gets_no_licence(store: Store) -> None:
    header = (
        f'<WRMHEADER xmlns="{second.H}" version="4.3.0.0"><DATA><PROTECTINFO '
        'LICENSEREQUESTED="false"></PROTECTINFO></DATA></WRMHEADER>'
    )
    assert asked(make_context(store), second.Wish(header, "5")).licenses == ()


def test_mixed_algids_are_refused(store: Store) -> None:
    header = second.header_43(*KIDS[:2], algid="AESCTR").replace("AESCTR", "AESCBC", 1)
    with pytest.raises(InvalidMessage, match="has the ALGIDs AESCBC and AESCTR, expected the same"):
        asked(make_context(store), second.Wish(header, "5"))


def test_a_checksum_of_another_length_is_warned_of(store: Store) -> None:
    header = second.header_40(KIDS[0]).replace("</KID>", "</KID><CHECKSUM>P7ORpD2IpA==</CHECKSUM>")
    asking = request(second.challenge(world.CLIENT, second.Wish(header)))
    acquire_license(make_context(store), asking)
    (warning,) = asking.progress.warnings
    assert warning.code == "checksum"
    assert "has 7 bytes, expected 8 for ALGID AESCTR" in warning.text
