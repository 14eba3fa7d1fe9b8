"""A repeated challenge gets the same answer and is stored once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Client, HeaderOf, Server

KIDS = ("4Rplb+TbNES8tGkNFWTEHA==", "7987aj+eE0uBlXi0N73AQw==")


def test_a_repeat_is_answered_alike_and_stored_once(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    header = header_of(*KIDS, version="4.2.0.0")
    sent: list[bytes] = []

    def twice(_url: str, _action: str, body: bytes) -> bytes:
        sent.append(body)
        assert server.post(body).status == 200
        return server.post(body).body

    before = set(server.issued())
    acquired = client.acquire(server.url, header, post=twice)
    again = [server.post(sent[0]).status for _ in range(3)]
    assert again == [200] * 3
    issued = sorted(set(server.issued()) - before, key=lambda license_: license_.ordinal)
    assert [license_.kid.base64 for license_ in issued] == list(KIDS)
    assert [license_.ordinal for license_ in issued] == [0, 1]
    assert [license_.license_id for license_ in issued] == [
        opened.license.rights_id for opened in acquired.licenses
    ]


def test_repeats_at_the_same_time_are_stored_once(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    body = client.challenge(header_of(KIDS[0]))
    before = len(server.issued())
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(lambda _: server.post(body).status, range(24)))
    assert statuses == [200] * 24
    assert len(server.issued()) == before + 1


def test_other_grants_are_another_request_and_other_spellings_are_not(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    body = client.challenge(header_of(KIDS[0]))
    before = len(server.issued())
    for query in (
        *("", "?cfg=(sl:150)"),
        *("?cfg=(persist:true)", "?CFG=(sl:150,persist:TRUE)", "?cfg=(persist:true)&token=1"),
    ):
        assert server.post(body, "/rightsmanager.asmx" + query).status == 200
    assert len(server.issued()) == before + 2


@pytest.mark.parametrize("requested", [True, False])
def test_a_header_that_requests_no_licence_gets_a_reply_without(
    server: Server, client: Client, header_of: HeaderOf, *, requested: bool
) -> None:
    text = (
        '<WRMHEADER xmlns="http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader" '
        f'version="4.3.0.0"><DATA><PROTECTINFO LICENSEREQUESTED="{str(requested).lower()}"><KIDS>'
        f'<KID ALGID="AESCTR" VALUE="{KIDS[0]}"></KID></KIDS></PROTECTINFO></DATA></WRMHEADER>'
    )
    before = len(server.issued())
    answer = server.post(client.challenge(header_of(KIDS[0], version="4.3.0.0"), header=text))
    assert answer.status == 200
    assert answer.body.count(b"<License>") == int(requested)
    assert (b"<Licenses></Licenses>" in answer.body) is not requested
    assert len(server.issued()) == before + int(requested)
