"""Key requests in the journal and the metrics: everything but the content keys."""

from __future__ import annotations

import base64
import uuid
from typing import TYPE_CHECKING

from rightsmanager.hooks.facts import KEY_PROTOCOLS
from rightsmanager.protocol.formats.packagers.getcontentkey import (
    ContentKeyRequest,
    build_request,
)
from rightsmanager.store.journal.entries import Filter
from rightsmanager.web.keys.endpoint import FORMS
from tests.databases import stored_bytes
from tests.e2e.conftest import REPLY_SECONDS
from tests.e2e.test_journal_e2e import journal_of
from tests.e2e.test_keys_e2e import MODULE, get_nginx, request_for
from tests.e2e.test_metrics_e2e import metrics, requests
from tests.second.cpix_documents import document, key

if TYPE_CHECKING:
    import pytest

    from rightsmanager.store.journal.entries import Entry
    from tests.e2e.conftest import Command, Server


def find(server: Server, request_id: str) -> Entry:
    journal = journal_of(server)
    assert journal.settle(REPLY_SECONDS)
    (entry,) = journal.find(Filter(text=request_id)).entries
    return entry


def test_each_protocol_has_a_name() -> None:
    assert tuple(form.name for form in FORMS.values()) == KEY_PROTOCOLS


def test_each_key_request_is_recorded_and_counted_without_its_keys(server: Server) -> None:
    name = f"journal-{uuid.uuid4()}"
    kid, content_key = get_nginx(server, name)
    own, own_kid = uuid.uuid4().bytes, uuid.uuid4()
    own_text = base64.b64encode(own).decode()
    chosen = document(key(str(own_kid), "", own_text), attributes=f'contentId="{name}-own"')
    before = requests(server)
    for number, (protocol, method, path, body) in enumerate(
        (
            ("cpix", "GET", f"/cpix/{name}?token=secret-of-the-packager", None),
            ("cpix", "POST", "/cpix", chosen),
            ("speke-2.0", "POST", "/speke/v2.0/copyProtection", request_for(name, kid)),
            ("speke-2.1", "POST", "/speke/v2.1/copyProtection", request_for(name, kid)),
            ("speke-1.0", "POST", "/speke/v1.0/copyProtection", request_for(name, kid)),
            ("nginx-vod", "HEAD", f"/nginx-vod/{name}", None),
            (
                "getcontentkey",
                "POST",
                MODULE,
                build_request(ContentKeyRequest(name.encode(), ("SD",))),
            ),
        )
    ):
        request_id = f"{name}-{number}"
        headers = {"X_Request_Id": request_id, "X_Speke_Version": "2.0", "User_Agent": "packer/1"}
        answer = server.call(method, path, body, **headers)
        assert answer.status == 200, answer.body
        entry = find(server, request_id)
        assert (entry.operation, entry.outcome, entry.http_status) == (protocol, "ok", 200)
        expected = own_kid if body == chosen else kid
        assert [each.text for each in entry.kids] == [str(expected)]
        assert entry.url.endswith(path.partition("?")[0])
        assert (entry.client, entry.user_agent) == ("127.0.0.1", "packer/1")
        assert (entry.has_request, entry.has_reply) == (False, False)
        assert list(entry.stages_ms) == ["read", "verify", "decide"]
        assert (entry.bytes_in, entry.bytes_out > 0) == (len(body or b""), True)
    after = requests(server)
    counted = {each: after[each] - before.get(each, 0) for each in after}
    ones = {f"{each} ok": 1.0 for each in KEY_PROTOCOLS}
    assert {each: count for each, count in counted.items() if count} == ones | {"cpix ok": 2.0}
    assert metrics(server)["request_duration_seconds_count cpix"] >= 2
    refuse_traces(server, content_key, own, b"secret-of-the-packager")


def refuse_traces(server: Server, *secrets: bytes) -> None:
    """Raise AssertionError if the journal or the log has one of some secrets."""
    journal = journal_of(server)
    assert journal.settle(REPLY_SECONDS)
    file = journal.database.file
    kept = [server.log.read_bytes()]
    if file is None:
        kept.append(stored_bytes(server.database_url))
    else:
        kept += [each.read_bytes() for each in file.parent.glob(f"{file.name}*")]
    for secret in secrets:
        for spelling in (secret, secret.hex().encode(), base64.b64encode(secret)):
            assert [spelling in each for each in kept] == [False] * len(kept)


def test_refused_key_requests_have_their_text_and_no_key(server: Server) -> None:
    name = f"refused-{uuid.uuid4()}"
    short = base64.b64encode(uuid.uuid4().bytes[:15]).decode()
    for number, (body, status, outcome, text) in enumerate(
        (
            (document(key(str(uuid.uuid4()), "", short)), 400, "0x8004c601", "PlainValue of KID"),
            (b"<cpix", 400, "0x8004c601", "XML"),
            (b"x" * (2 << 20), 413, "0x8004c601", "body"),
        )
    ):
        request_id = f"{name}-{number}"
        answer = server.post(body, "/cpix", X_Request_Id=request_id)
        entry = find(server, request_id)
        assert (answer.status, entry.http_status, entry.outcome) == (status, status, outcome)
        assert text in str(entry.reason)
        assert (entry.has_request, entry.has_reply) == (False, False)
    answer = server.call(
        "GET", f"/cpix/{name}", Origin="http://evil.example", X_Request_Id=f"{name}-page"
    )
    entry = find(server, f"{name}-page")
    assert (entry.failed, entry.stage, entry.http_status) == ("AccessDenied", "verify", 403)
    refuse_traces(server, short.encode())


def test_a_key_request_is_shown_and_not_replayed(
    server: Server, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    del capsys
    name = f"shown-{uuid.uuid4()}"
    get_nginx(server, name)
    server.call("GET", f"/nginx-vod/{name}", X_Request_Id=name)
    number = find(server, name).id
    for arguments in (("show", str(number)), ("list", "--operation", "nginx-vod")):
        shown = command("journal", *arguments, "--data", str(server.data))
        assert (shown.status, "nginx-vod" in shown.output) == (0, True)
    replayed = command("journal", "replay", str(number), "--data", str(server.data))
    assert (replayed.status, "may contain a content key" in replayed.errors) == (1, True)
    page = server.call("GET", f"/console/journal/{number}")
    assert (page.status, b"nginx-vod" in page.body) == (200, True)
