"""A device acknowledges licences if the reply asks for it, by URL or by setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rightsmanager.crypto.random import system_random
from rightsmanager.device import acknowledge
from rightsmanager.errors import InvalidMessage, ServiceSpecific
from rightsmanager.protocol.wire import Kid, TransactionId
from rightsmanager.store.database import open_store

if TYPE_CHECKING:
    from rightsmanager.device import Acknowledgement, Acquired
    from tests.e2e.conftest import Client, Enrol, HeaderOf, Server

KIDS = ("4Rplb+TbNES8tGkNFWTEHA==", "AAAAAAAAAAAAAAAAAAAAAQ==")


def told(
    client: Client, url: str, acquired: Acquired, failures: dict[Kid, int] | None = None
) -> Acknowledgement | None:
    return acknowledge(url, acquired, client.reaching(), failures or {})


def recorded(server: Server, transaction_id: str) -> list[tuple[str, str, int]]:
    store = open_store(server.database_url)
    try:
        with store.reading() as found:
            return [
                (device, kid.base64, result)
                for each, device, kid, result in found.acknowledgements.find_all()
                if each.text == transaction_id
            ]
    finally:
        store.close()


def test_a_url_with_tid_asks_for_an_acknowledgement_under_it(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    tid = TransactionId(system_random(16)).text
    url = f"{server.url}?cfg=(persist:true,tid:{tid})"
    acquired = client.acquire(url, header_of(KIDS[0]))
    assert acquired.response.transaction_id == TransactionId.from_text(tid)
    for _ in range(2):
        acknowledged = told(client, url, acquired)
        assert acknowledged is not None
        assert [(each.kid.base64, each.result) for each in acknowledged.results] == [(KIDS[0], 0)]
    device = client.device.chain.leaf.device_id
    assert recorded(server, tid) == [(device, KIDS[0], 0)]


def test_devices_with_the_same_tid_have_separate_transactions(
    server: Server, enrol: Enrol, header_of: HeaderOf
) -> None:
    tid = TransactionId(system_random(16)).text
    url = f"{server.url}?cfg=(persist:true,tid:{tid})"
    first, second = enrol(server.data), enrol(server.data)
    acquired = [
        (first, first.acquire(url, header_of(KIDS[0]))),
        (second, second.acquire(url, header_of(KIDS[1]))),
    ]
    for client, each in acquired:
        told(client, url, each)
    assert sorted(kid for _, kid, _ in recorded(server, tid)) == sorted(KIDS)
    with pytest.raises(InvalidMessage, match="has no licence under TransactionID"):
        told(first, url, acquired[1][1])


def test_a_failure_to_store_is_reported(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    tid = TransactionId(system_random(16)).text
    url = f"{server.url}?cfg=(kid:{KIDS[0]},persist:true,tid:{tid}),(kid:{KIDS[1]},persist:true)"
    acquired = client.acquire(url, header_of(*KIDS, version="4.2.0.0"))
    told(client, url, acquired, {Kid.from_base64(KIDS[1]): 0x8004B896})
    assert [result for _, _, result in sorted(recorded(server, tid), key=lambda row: row[1])] == [
        result for _, result in sorted(zip(KIDS, (0, 0x8004B896), strict=True))
    ]
    with pytest.raises(InvalidMessage, match="was acknowledged with 0x8004b896 before"):
        told(client, url, acquired)


def test_a_licence_that_is_not_stored_is_not_reported(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    tid = TransactionId(system_random(16)).text
    url = f"{server.url}?cfg=(tid:{tid})"
    acquired = client.acquire(url, header_of(KIDS[0]))
    assert acquired.response.transaction_id == TransactionId.from_text(tid)
    assert told(client, url, acquired) is None
    assert recorded(server, tid) == []


def test_another_devices_transaction_is_unknown(
    server: Server, client: Client, enrol: Enrol, header_of: HeaderOf
) -> None:
    tid = TransactionId(system_random(16)).text
    url = f"{server.url}?cfg=(persist:true,tid:{tid})"
    acquired = client.acquire(url, header_of(KIDS[0]))
    with pytest.raises(ServiceSpecific, match=tid):
        told(enrol(server.data), url, acquired)
    assert recorded(server, tid) == []
