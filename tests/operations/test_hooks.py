import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from rightsmanager.errors import InternalError, Refusal, ServiceSpecific
from rightsmanager.hooks import key_server, token
from rightsmanager.hooks.calls import Hooks, with_hooks
from rightsmanager.hooks.choice import Choice
from rightsmanager.hooks.facts import Event, Facts, RequestedKey
from rightsmanager.hooks.hook_set import HookSet, load_hooks
from rightsmanager.policy.grants import Grant
from rightsmanager.protocol.wire import Kid, encode_base64
from rightsmanager.store.database import Store
from tests.operations.subject import issued, make_context, post, request
from tests.second import curve, world
from tests.second.challenge import Wish, challenge, header_40
from tests.second.reply import read_reply

KEY = bytes(range(16))


def reply_with(store: Store, callables: HookSet, seconds: float = 5, query: str = "") -> bytes:
    context = make_context(store, hooks=Hooks(callables, seconds))
    return post(
        context, "AcquireLicense", challenge(world.CLIENT, Wish(header_40(bytes(16)))), query
    )


def content_keys(reply: bytes) -> list[bytes]:
    opened = read_reply(reply, world.DEVICE_ENCRYPTION, curve.public(world.ROOT))
    return [license_.content_key for license_ in opened.licenses]


def test_a_request_that_is_not_authorised_gets_the_operators_refusal_and_stores_nothing(
    store: Store,
) -> None:
    def deny(facts: Facts) -> None:
        raise ServiceSpecific(f"{facts.remote} has no subscription")

    with pytest.raises(ServiceSpecific, match=r"127\.0\.0\.1 has no subscription"):
        reply_with(store, HookSet(authorise=deny))
    assert issued(store) == []


def test_grants_may_be_changed_and_keys_come_from_the_operator(store: Store) -> None:
    def choose(_facts: Facts, grants: tuple[Grant, ...]) -> Choice:
        return Choice(
            tuple(replace(grant, policy=replace(grant.policy, persistent=True)) for grant in grants)
        )

    reply = reply_with(store, HookSet(choose=choose, find_content_key=lambda _facts, _kid: KEY))
    assert content_keys(reply) == [KEY]
    assert '"persistent":true' in issued(store)[0].policy


def test_a_key_that_the_operator_has_not_comes_from_store_and_seed(store: Store) -> None:
    usual = content_keys(reply_with(store, HookSet()))
    asked = content_keys(reply_with(store, HookSet(find_content_key=lambda _facts, _kid: None)))
    assert usual == asked


def test_a_key_that_the_request_gives_is_not_asked_for(store: Store) -> None:
    def find(_facts: Facts, _kid: Kid) -> bytes:
        raise AssertionError("asked")

    query = f"cfg=(contentkey:{encode_base64(KEY)})"
    assert content_keys(reply_with(store, HookSet(find_content_key=find), query=query)) == [KEY]


def test_a_hook_knows_device_certificate_and_header(store: Store) -> None:
    seen: list[Facts] = []
    reply_with(store, HookSet(authorise=seen.append))
    (facts,) = seen
    maker = facts.certificate.manufacturer
    assert maker is not None
    assert (maker.name, maker.model_name, maker.model_number) == ("Second", "Client", "2")
    assert (facts.operation, facts.features) == ("AcquireLicense", ("AESCBC",))
    assert (facts.client_version, facts.client_time) == ("4.4.0.1", 1790000000)
    assert facts.header is not None
    assert [entry.kid for entry in facts.header.kids] == list(facts.kids)


def test_a_hook_may_add_custom_data_to_the_reply(store: Store) -> None:
    reply = reply_with(store, HookSet(choose=lambda _facts, _grants: Choice(custom_data="a < b")))
    assert b"<CustomData>a &lt; b</CustomData>" in reply
    assert b"CustomData" not in reply_with(store, HookSet(choose=lambda _facts, _grants: None))


def raise_error(*_arguments: object) -> None:
    raise LookupError("the database of customers is away")


@pytest.mark.parametrize(
    ("callables", "text"),
    [
        (HookSet(authorise=raise_error), "authorise failed, expected a Refusal"),
        (HookSet(choose=lambda _facts, grants: grants), "returned a tuple, expected a Choice"),  # type: ignore[arg-type,return-value]
        (HookSet(find_content_key=lambda _facts, _kid: b"short"), "no 16 bytes"),
    ],
)
def test_a_callable_that_fails_gives_a_fault_and_never_a_licence(
    store: Store, callables: HookSet, text: str
) -> None:
    with pytest.raises(InternalError, match=text):
        reply_with(store, callables)
    assert issued(store) == []


def test_a_timeout_within_a_callable_is_its_failure(store: Store) -> None:
    def ask(_facts: Facts) -> None:
        raise TimeoutError(KEY.hex())

    with pytest.raises(InternalError, match="authorise failed, expected a Refusal") as caught:
        reply_with(store, HookSet(authorise=ask))
    assert isinstance(caught.value.__cause__, TimeoutError)


def test_a_callable_that_is_slow_gives_a_fault_in_time(store: Store) -> None:
    finish = threading.Event()

    def hang(_facts: Facts) -> None:
        finish.wait()

    with pytest.raises(InternalError, match=r"did not answer within 0\.05 s"):
        reply_with(store, HookSet(authorise=hang), seconds=0.05)
    finish.set()
    assert issued(store) == []


def test_what_happens_is_heard_with_licences_and_refusals(store: Store) -> None:
    events: list[Event] = []
    told = threading.Semaphore(0)

    def on_event(event: Event) -> None:
        events.append(event)
        told.release()

    reply_with(store, HookSet(on_event=on_event))
    hooks = Hooks(HookSet(on_event=on_event), 5)
    with pytest.raises(Refusal):
        with_hooks("AcquireLicense", refusing, hooks)(
            request(challenge(world.CLIENT, Wish(header_40(bytes(16)))))
        )
    assert told.acquire(timeout=10)
    assert told.acquire(timeout=10)
    licences, refused = events
    assert (licences.operation, len(licences.kids)) == ("AcquireLicense", 1)
    assert refused.refusal is not None


def refusing(_request: object) -> bytes:
    raise ServiceSpecific("no")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rightsmanager.nowhere:make", "ModuleNotFoundError"),
        ("rightsmanager.hooks.token:nothing", "AttributeError"),
        ("builtins:dict", "made a dict"),
    ],
)
def test_a_function_that_makes_no_callables_is_named_at_start(name: str, text: str) -> None:
    with pytest.raises(InternalError, match=text):
        load_hooks(name, {})


# --- the examples -------------------------------------------------------------------------------

SECRET = bytes(32)


@pytest.fixture
def facts() -> Facts:
    return Facts(
        operation="AcquireLicense",
        url="",
        query="",
        headers={},
        remote="",
        kids=(Kid(bytes(16)),),
    )


@pytest.fixture
def authorise(tmp_path: Path) -> Callable[[Facts], None]:
    (tmp_path / "secret").write_bytes(SECRET)
    made = token.make({"secret_file": str(tmp_path / "secret")}).authorise
    assert made is not None
    return made


def test_a_token_is_taken_from_the_header_or_from_custom_data(
    facts: Facts, authorise: Callable[[Facts], None]
) -> None:
    good = token.sign(SECRET, "someone", int(time.time()) + 60, facts.kids)
    authorise(replace(facts, headers={"authorization": f"Bearer {good}"}))
    authorise(replace(facts, custom_data=f" {good} "))


def test_a_token_is_taken_from_the_query_under_the_options_name(
    facts: Facts, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(SECRET)
    options = {"secret_file": str(tmp_path / "secret"), "query_name": "t"}
    made = token.make({**options, "operations": "JoinDomain AcquireLicense"}).authorise
    assert made is not None
    good = token.sign(SECRET, "someone", int(time.time()) + 60, facts.kids)
    made(replace(facts, query=f"a=b&t={good}"))
    for operation in ("AcquireLicense", "JoinDomain"):
        with pytest.raises(ServiceSpecific, match=r"has no token, expected one .* query as t,"):
            made(replace(facts, operation=operation, query=f"token={good}"))
    made(replace(facts, operation="LeaveDomain"))
    with pytest.raises(InternalError, match="operations is 'acquirelicense', expected some of"):
        token.make({**options, "operations": "acquirelicense"})


def test_only_acquire_license_needs_a_token_by_default(
    facts: Facts, authorise: Callable[[Facts], None]
) -> None:
    authorise(replace(facts, operation="ProcessMeteringData"))


@pytest.mark.parametrize(
    ("custom_data", "text"),
    [
        (None, "has no token"),
        ("not.a.token", "token is refused"),
        (token.sign(SECRET, "x", 1, ()), "expired"),
        (token.sign(bytes(31) + b"x", "x", 2**33, ()), "Signature verification failed"),
        (token.sign(SECRET, "x", 2**33, (Kid(b"another KID....."),)), "not valid for KID"),
    ],
)
def test_a_request_without_a_good_token_is_refused(
    facts: Facts, authorise: Callable[[Facts], None], custom_data: str | None, text: str
) -> None:
    with pytest.raises(ServiceSpecific, match=text):
        authorise(replace(facts, custom_data=custom_data))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ((RequestedKey(None, kid=Kid(bytes(16))),), ""),
        ((RequestedKey(None, kid=Kid(b"another KID.....")),), "not valid for KID"),
        # The program may have another KID, which a packager may get for its own.
        ((RequestedKey("movie", kid=Kid(bytes(16))),), "names the program 'movie'"),
        ((RequestedKey(None, kid=Kid(bytes(16))), RequestedKey("movie")), "names the program"),
    ],
)
def test_a_token_for_some_kids_gives_a_packager_no_others(
    facts: Facts, tmp_path: Path, keys: tuple[RequestedKey, ...], told: str
) -> None:
    (tmp_path / "secret").write_bytes(SECRET)
    options = {"secret_file": str(tmp_path / "secret"), "operations": "KeyEndpoint"}
    authorise = token.make(options).authorise
    assert authorise is not None
    limited, unlimited = (token.sign(SECRET, "x", 2**33, kids) for kids in (facts.kids, ()))
    asked = replace(facts, operation="KeyEndpoint", kids=(), keys=keys)
    authorise(replace(asked, headers={"authorization": f"Bearer {unlimited}"}))
    with nullcontext() if not told else pytest.raises(ServiceSpecific, match=told):
        authorise(replace(asked, headers={"authorization": f"Bearer {limited}"}))


class Keys(BaseHTTPRequestHandler):
    answers: Mapping[str, tuple[int, bytes]] = {}

    def do_GET(self) -> None:
        status, body = self.answers.get(self.path, (404, b""))
        if not status:
            self.wfile.write(body)
            return
        self.send_response(status)
        if status == 302:
            self.send_header("Location", body.decode())
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


def test_a_key_server_is_asked_by_kid(facts: Facts) -> None:
    known, unknown, *failing = (Kid(bytes(15) + bytes([last])) for last in range(8))
    answers = (
        (503, b"", "HTTP 503"),
        (200, b"[]", "not JSON with a key"),
        (200, b"[" * 4096, "not JSON with a key"),
        (200, b'{"key": "AAAA"}', "the key server's key has 3 bytes, expected 16"),
        # Another server must not get the authorization.
        (302, f"/keys/{known.text}".encode(), "HTTP 302"),
        (0, b"not HTTP\r\n\r\n", "answered no HTTP: BadStatusLine"),
    )
    Keys.answers = {
        f"/keys/{known.text}": (200, f'{{"key": "{encode_base64(KEY)}"}}'.encode()),
        **{f"/keys/{kid.text}": answer[:2] for kid, answer in zip(failing, answers, strict=True)},
    }
    with HTTPServer(("127.0.0.1", 0), Keys) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made = key_server.make({"url": f"http://127.0.0.1:{server.server_port}/keys/"})
        find = made.find_content_key
        assert find is not None
        assert find(facts, known) == KEY
        assert find(facts, unknown) is None
        for kid, (*_, told) in zip(failing, answers, strict=True):
            with pytest.raises(InternalError, match=told):
                find(facts, kid)
        server.shutdown()
    with pytest.raises(InternalError, match="cannot be reached"):
        find(facts, known)
