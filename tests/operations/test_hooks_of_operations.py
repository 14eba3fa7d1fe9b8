"""Hooks in all nine operations: the facts they get, their refusals, and CustomData in replies."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from rightsmanager.crypto.random import system_random
from rightsmanager.errors import (
    DeviceLimitReached,
    InternalError,
    Refusal,
    ServiceSpecific,
    UnknownAccountId,
)
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.choice import Choice, ChosenKey, Dropped
from rightsmanager.hooks.facts import Facts, RequestedKey
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.operations.access import Access, AccessMode
from rightsmanager.operations.acquire_license import acquire_license
from rightsmanager.operations.context import Context, Options
from rightsmanager.operations.domain_authority import DomainAuthority
from rightsmanager.operations.packaging_keys import PackagingOptions
from rightsmanager.policy.defaults import LicenseDefaults
from rightsmanager.policy.grants import Grant, Policy
from rightsmanager.protocol.messages import acknowledgement, delete_license, domain, metering
from rightsmanager.protocol.messages import secure_stop as stops
from rightsmanager.protocol.messages.exchange import ChallengeKeys, ClientInfo
from rightsmanager.protocol.messages.metering import MeteringReport, Usage
from rightsmanager.protocol.wire import AccountId, Kid, SessionId, TransactionId
from rightsmanager.protocol.xml.envelope import SoapVersion
from rightsmanager.soap.protocols import build_envelope
from tests.operations.subject import (
    METERING,
    PORTABLE,
    STORAGE_KEY,
    TERMS,
    issued,
    make_context,
    post,
    private_key,
    public_key,
    request,
)
from tests.operations.test_domain import ISSUER
from tests.policy.sample import OWN_MID
from tests.second import packager, world
from tests.second.challenge import Wish, challenge, header_42

if TYPE_CHECKING:
    from collections.abc import Callable

    from rightsmanager.store.database import Store

ACCOUNT, OTHER = AccountId(b"account of hooks"), AccountId(b"another account.")
KIDS = (Kid(b"first kid of all"), Kid(b"second kid......"))
TID = TransactionId(b"transaction id 1")
SESSION = SessionId(b"session id 00001")
CLIENT = ClientInfo((world.DEVICE_CHAIN,), 1790000123, "4.5.6.7", "from <the> device")
CHOSEN = "a < b"


def keys(number: int = world.SERVER) -> ChallengeKeys:
    signing = private_key(world.DEVICE_SIGNING)
    return ChallengeKeys(signing, public_key(number), PORTABLE, system_random)


REPORT = MeteringReport(OWN_MID, TID, (Usage(KIDS[0], "Play", 3),))
SESSIONS = (stops.Session(SESSION, KIDS[0], 5, 9, stopped=True),)
RESULTS = (acknowledgement.StorageResult(KIDS[0], 0),)
LICENSE = Wish(
    header_42(*(kid.raw for kid in KIDS)), "4", custom_data="<CustomData>said</CustomData>"
)

BODIES: dict[str, Callable[[], bytes]] = {
    "AcquireLicense": lambda: challenge(world.CLIENT, LICENSE),
    "AcknowledgeLicense": lambda: acknowledgement.seal_acknowledgement(
        TID, RESULTS, CLIENT, keys()
    ),
    "JoinDomain": lambda: domain.seal_join(TERMS.service_id, ACCOUNT, "tv", CLIENT, keys()),
    "LeaveDomain": lambda: domain.seal_leave(TERMS.service_id, ACCOUNT, CLIENT, keys()),
    "GetMeteringCertificate": lambda: metering.seal_certificate_request(OWN_MID, CLIENT, keys()),
    "ProcessMeteringData": lambda: metering.seal_metering_data(REPORT, CLIENT, keys(METERING)),
    "ProcessSecureStopData": lambda: stops.seal_secure_stop(
        OWN_MID, SESSIONS, None, CLIENT, keys(METERING)
    ),
    "ProcessDeleteLicenseData": lambda: delete_license.seal_delete_license(
        SESSION, KIDS, CLIENT, keys()
    ),
    "AcquirePackagingData": lambda: packager.ask(packager.stream("movie")),
}
"""A request to each operation."""
OF_DEVICES = sorted(set(BODIES) - {"AcquirePackagingData"})


@dataclass
class Desk:
    """A server with hooks, and without them for requests that come before."""

    store: Store
    facts: list[Facts]

    def context(self, hooks: HookSet) -> Context:
        options = Options(
            defaults=LicenseDefaults(Policy(persistent=True)),
            acknowledge_persistent=True,
            packaging=PackagingOptions(),
            packaging_access=Access(AccessMode.OPEN),
        )
        return make_context(
            self.store,
            options=options,
            domains=DomainAuthority(ISSUER, TERMS, STORAGE_KEY, system_random),
            rng=system_random,
            hooks=Hooks(hooks, 5),
        )

    def prepare(self, operation: str) -> None:
        """Send the request that has to come before one to the operation."""
        before = {"LeaveDomain": "JoinDomain", "AcknowledgeLicense": "AcquireLicense"}
        if operation in before:
            query = f"cfg=(tid:{TID.text},persist:true)"
            post(self.context(HookSet()), before[operation], BODIES[before[operation]](), query)

    def ask(self, operation: str, choice: Choice | None = None, query: str = "") -> bytes:
        def choose(facts: Facts, _grants: tuple[Grant, ...]) -> Choice | None:
            self.facts.append(facts)
            return choice

        context = self.context(HookSet(choose=choose))
        return post(context, operation, BODIES[operation](), query)


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store, [])


@pytest.mark.parametrize("operation", BODIES)
def test_authorise_refuses_before_anything_is_stored(desk: Desk, operation: str) -> None:
    desk.prepare(operation)
    before = len(issued(desk.store))

    def authorise(facts: Facts) -> None:
        raise ServiceSpecific(f"no {facts.operation}", custom_data="why")

    context = desk.context(HookSet(authorise=authorise))
    with pytest.raises(ServiceSpecific, match=f"no {operation}") as caught:
        post(context, operation, BODIES[operation]())
    assert caught.value.custom_data == "why"
    assert len(issued(desk.store)) == before
    # The same request is served without the hook: nothing says that it came before.
    assert post(desk.context(HookSet()), operation, BODIES[operation]())


@pytest.mark.parametrize("operation", OF_DEVICES)
def test_the_reply_has_the_custom_data_of_the_choice(desk: Desk, operation: str) -> None:
    desk.prepare(operation)
    assert b"CustomData" not in desk.ask(operation)
    desk.prepare(operation)
    reply = desk.ask(operation, Choice(custom_data=CHOSEN))
    assert b"<CustomData>a &lt; b</CustomData>" in reply
    assert (b"<Signature " in reply) == (operation != "ProcessDeleteLicenseData")


@pytest.mark.parametrize("operation", OF_DEVICES)
def test_facts_describe_client_and_certificates(desk: Desk, operation: str) -> None:
    desk.prepare(operation)
    desk.ask(operation, query="token=abc&x=1&x=2")
    (facts,) = desk.facts
    assert facts.operation == operation
    assert facts.query_values == {"token": ["abc"], "x": ["1", "2"]}
    is_license = operation == "AcquireLicense"
    assert facts.client_version == ("4.4.0.1" if is_license else "4.5.6.7")
    assert facts.client_time == (1790000000 if is_license else 1790000123)
    assert facts.custom_data == ("said" if is_license else "from <the> device")
    assert [each.security_level for each in facts.chain] == [2000, 3000]
    assert facts.certificate.manufacturer is not None
    assert facts.certificate.manufacturer.model_name == "Client"


def test_facts_have_the_content_of_each_report(desk: Desk) -> None:
    for operation in BODIES:
        desk.prepare(operation)
        desk.ask(operation)
    facts = {each.operation: each for each in desk.facts}
    header = facts["AcquireLicense"].header
    assert header is not None
    assert tuple(key.kid for key in header.kids) == facts["AcquireLicense"].kids == KIDS
    assert facts["JoinDomain"].account_id == facts["LeaveDomain"].account_id == ACCOUNT
    assert facts["JoinDomain"].friendly_name == "tv"
    assert facts["GetMeteringCertificate"].metering_id == OWN_MID
    report = facts["ProcessMeteringData"]
    assert (report.metering_id, report.transaction_id) == (OWN_MID, TID)
    assert (report.usage, report.kids) == (REPORT.usage, KIDS[:1])
    stop = facts["ProcessSecureStopData"]
    assert (stop.metering_id, stop.sessions, stop.kids) == (OWN_MID, SESSIONS, KIDS[:1])
    assert facts["ProcessDeleteLicenseData"].kids == KIDS
    assert facts["ProcessDeleteLicenseData"].session_id == SESSION
    stored = facts["AcknowledgeLicense"]
    assert (stored.results, stored.transaction_id, stored.kids) == (RESULTS, TID, KIDS[:1])
    assert facts["AcquirePackagingData"].keys == (RequestedKey("movie"),)


# --- faults -----------------------------------------------------------------------------------


def test_a_later_fault_has_the_custom_data_of_the_choice(desk: Desk) -> None:
    with pytest.raises(ServiceSpecific, match="is not of a reply") as caught:
        desk.ask("AcknowledgeLicense", Choice(custom_data=CHOSEN))
    assert caught.value.custom_data == CHOSEN


def test_a_refusal_that_a_hook_raises_again_keeps_no_custom_data(desk: Desk) -> None:
    # One for all requests, as a module may have it.
    refusal, said = ServiceSpecific("no key"), ["for alice", None]

    def find(_facts: Facts, _kid: Kid) -> bytes:
        raise refusal

    hooks = HookSet(
        choose=lambda _facts, _grants: Choice(custom_data=said.pop(0)), find_content_key=find
    )
    for expected in ("for alice", None):
        with pytest.raises(ServiceSpecific, match="no key") as caught:
            post(desk.context(hooks), "AcquireLicense", BODIES["AcquireLicense"]())
        assert caught.value.custom_data == expected


def test_a_fault_keeps_custom_data_of_its_own(desk: Desk) -> None:
    context = desk.context(HookSet(choose=lambda _facts, _grants: Choice(custom_data=CHOSEN)))
    full = DomainAuthority(ISSUER, replace(TERMS, limit=0), STORAGE_KEY, system_random)
    context = replace(context, domains=full)
    with pytest.raises(DeviceLimitReached) as caught:
        post(context, "JoinDomain", BODIES["JoinDomain"]())
    assert (caught.value.custom_data or "").endswith("?op=JoinDomain")


@pytest.mark.parametrize("operation", BODIES)
def test_a_failure_of_a_hook_is_a_fault_in_each_operation(desk: Desk, operation: str) -> None:
    def choose(_facts: Facts, _grants: tuple[Grant, ...]) -> Choice:
        raise LookupError("the database of customers is away")

    with pytest.raises(InternalError, match=r"operator's choose failed, expected a Refusal$"):
        post(desk.context(HookSet(choose=choose)), operation, BODIES[operation]())


# --- licences ---------------------------------------------------------------------------------


def licenses(desk: Desk, choice: Choice, query: str = "") -> list[Kid]:
    before = len(issued(desk.store))
    desk.ask("AcquireLicense", choice, query)
    return [each.kid for each in issued(desk.store)[before:]]


def test_dropped_licences_have_a_warning_with_the_reason(desk: Desk) -> None:
    choice = Choice(dropped=(Dropped(KIDS[0], "not in\nyour plan"),))
    asked = request(BODIES["AcquireLicense"]())
    context = desk.context(HookSet(choose=lambda _facts, _grants: choice))
    reply = acquire_license(context, asked)
    assert reply.count(b"<License>") == 1
    (warning,) = asked.progress.warnings
    assert warning.text == f"KID {KIDS[0].text} gets no licence: not in your plan"
    assert [each.kid for each in issued(desk.store)] == [KIDS[1]]


def test_a_request_of_which_all_licences_are_dropped_is_refused(desk: Desk) -> None:
    dropped = tuple(Dropped(kid, "not in your plan") for kid in KIDS)
    with pytest.raises(ServiceSpecific, match="gets no licence: not in your plan") as caught:
        desk.ask("AcquireLicense", Choice(dropped=dropped, custom_data=CHOSEN))
    assert caught.value.custom_data == CHOSEN
    assert issued(desk.store) == []


def test_leaves_of_a_dropped_root_are_not_issued(desk: Desk) -> None:
    root = Kid(b"a root of all...")
    query = f"cfg=(kid:{root.text},isroot:true),(kid:{KIDS[0].text},rootid:{root.text})"
    query += f",(kid:{KIDS[1].text})"
    assert licenses(desk, Choice(dropped=(Dropped(root, "no root"),)), query) == [KIDS[1]]


def test_an_unknown_dropped_licence_is_a_fault(desk: Desk) -> None:
    with pytest.raises(InternalError, match="which has no licence"):
        desk.ask("AcquireLicense", Choice(dropped=(Dropped(Kid(bytes(16)), "?"),)))


def test_licences_expire_as_the_choice_says(desk: Desk) -> None:
    query = "cfg=(kid:header,expiration:20990101,persist:true)"
    desk.ask("AcquireLicense", Choice(expires_in_seconds=60), query)
    for each in issued(desk.store):
        assert '"valid_for":60' in each.policy
        assert "expiration" not in each.policy
    # The same request again is a repeat.
    desk.ask("AcquireLicense", Choice(expires_in_seconds=60), query)
    assert len(issued(desk.store)) == 2


def changed(policy: Policy) -> Callable[[Facts, tuple[Grant, ...]], Choice]:
    def choose(_facts: Facts, grants: tuple[Grant, ...]) -> Choice:
        return Choice(tuple(replace(grant, policy=policy) for grant in grants))

    return choose


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (Policy(begin=-1), "begin -1 for KID"),
        (Policy(grace_period=2**32), "grace_period 4294967296 for KID"),
        (Policy(persistent=True, secure_stop=True), "only non-persistent licences"),
        (Policy(begin=5, expiration=5), "expires before it begins"),
        (Policy(begin=world.NOW + 60, valid_for=60), "expires before it begins"),
    ],
)
def test_licences_that_cannot_be_issued_are_a_fault(desk: Desk, policy: Policy, text: str) -> None:
    with pytest.raises(InternalError, match=text):
        post(
            desk.context(HookSet(choose=changed(policy))),
            "AcquireLicense",
            BODIES["AcquireLicense"](),
        )
    assert issued(desk.store) == []


def test_two_licences_for_one_kid_are_a_fault(desk: Desk) -> None:
    hooks = HookSet(choose=lambda _facts, grants: Choice(grants + grants))
    with pytest.raises(InternalError, match=r"choose returned kid .* twice"):
        post(desk.context(hooks), "AcquireLicense", BODIES["AcquireLicense"]())


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"custom_data": b"x"}, "custom_data is a bytes, expected a text"),
        ({"custom_data": "x" * 65537}, "has 65537 characters, expected at most 65536"),
        ({"custom_data": "\0"}, "characters that XML does not allow"),
        ({"stream_user": "x" * 59}, "expected a text of 1 to 58 characters"),
        ({"stream_limit": -1}, "stream_limit is '-1', expected 0 to"),
        ({"stream_limit": True}, "stream_limit is 'True', expected 0 to"),
        ({"expires_in_seconds": 0}, "expires_in_seconds is '0', expected 1 to"),
        ({"account_id": "x"}, "account_id is 'x', expected an AccountId"),
        ({"grants": ("x",)}, "grants are no tuple of Grant"),
        ({"dropped": [Dropped(KIDS[0], "x")]}, "dropped are no tuple of Dropped"),
    ],
)
def test_a_choice_of_other_types_is_refused(fields: dict[str, object], text: str) -> None:
    with pytest.raises(InternalError, match=text):
        Choice(**fields)  # type: ignore[arg-type]


# --- domains and keys -------------------------------------------------------------------------


def test_a_device_joins_the_account_of_the_choice(desk: Desk) -> None:
    desk.ask("JoinDomain", Choice(account_id=OTHER))
    with desk.store.reading() as found:
        assert [each.account_id for each in found.domains.find_all()] == [OTHER]


def test_a_hook_chooses_the_account_of_a_request_without_one(desk: Desk) -> None:
    body = domain.seal_join(TERMS.service_id, None, None, CLIENT, keys())
    context = desk.context(HookSet(choose=lambda _facts, _grants: Choice(account_id=OTHER)))
    assert OTHER.base64.encode() in post(context, "JoinDomain", body)
    with pytest.raises(UnknownAccountId):
        post(desk.context(HookSet(authorise=lambda _facts: None)), "JoinDomain", body)


KEY = bytes(range(16))


def keys_in(reply: bytes) -> list[dict[str, str]]:
    return packager.rows(b"".join(build_envelope(SoapVersion.SOAP11, reply)))


def test_a_packager_gets_the_key_that_the_hook_chose(desk: Desk) -> None:
    chosen = ChosenKey("movie", 0, KIDS[0], KEY)
    (row,) = keys_in(desk.ask("AcquirePackagingData", Choice(keys=(chosen,))))
    assert uuid.UUID(row["KeyId"]) == uuid.UUID(bytes_le=KIDS[0].raw)
    # It is the program's from now on.
    assert keys_in(desk.ask("AcquirePackagingData")) == [row]
    other = Choice(keys=(replace(chosen, key=bytes(16)),))
    with pytest.raises(ServiceSpecific, match="has another content key already"):
        desk.ask("AcquirePackagingData", other)


def test_a_packager_gets_the_key_that_licences_have(desk: Desk) -> None:
    desk.ask("AcquirePackagingData", Choice(keys=(ChosenKey("movie", 0, KIDS[0]),)))
    asked: list[Kid] = []

    def find(_facts: Facts, kid: Kid) -> bytes:
        asked.append(kid)
        return KEY

    context = desk.context(HookSet(find_content_key=find))
    with pytest.raises(ServiceSpecific, match="has another content key already"):
        post(context, "AcquirePackagingData", BODIES["AcquirePackagingData"]())
    assert asked == [KIDS[0]]


def test_a_key_that_is_not_requested_is_a_fault(desk: Desk) -> None:
    with pytest.raises(InternalError, match="for other, period 0, which is not requested"):
        desk.ask("AcquirePackagingData", Choice(keys=(ChosenKey("other", 0, KIDS[0]),)))


@pytest.mark.parametrize(
    "fields",
    [{"program": None}, {"program": "a", "kid": "x"}, {"program": "a", "key": b"short"}],
)
def test_a_chosen_key_of_other_types_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(Refusal, match="the hook chose a key"):
        ChosenKey(**fields)  # type: ignore[arg-type]
