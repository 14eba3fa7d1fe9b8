"""Requests of players, stacks and published samples over HTTP: licences, warnings and refusals."""

from __future__ import annotations

import base64
import http.client
import json
import time
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import unescape

import pytest

from rightsmanager.errors import ServiceSpecific
from rightsmanager.protocol.formats.xmr.objects import Expiration, ExpireAfterFirstPlay
from rightsmanager.protocol.wire import Kid
from tests.databases import on_sqlite
from tests.e2e.conftest import REPLY_SECONDS
from tests.policy.test_published_urls import URLS, named_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import Answer, Client, Enrol, HeaderOf, Server

pytestmark = on_sqlite
KID = "4Rplb+TbNES8tGkNFWTEHA=="
VIDEO = "ERERESIiMzNERFVVVVVVVQ=="
CHAINED = "uPeXHrR3K0icGCpYMBGsZw=="
WARNING = "X-RightsManager-Warning"


def warnings_of(server: Server, body: bytes, query: str) -> tuple[int, list[str]]:
    """Return the HTTP status and the warnings of a POST."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=REPLY_SECONDS)
    try:
        connection.request("POST", f"/rightsmanager.asmx?{query}", body)
        response = connection.getresponse()
        response.read()
        return response.status, response.headers.get_all(WARNING) or []
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("token=abc", ["token"]),
        ("CrmId=afb&AccountId=afb&contentId=329", ["CrmId", "contentId", "AccountId"]),
        ("ExpressPlayToken=AQAA", ["ExpressPlayToken"]),
        ("cfg=(sl:150)&_=1700000000000", ["_"]),
        ("SecurityLevel=150&token=abc", ["token"]),
        ("wsdl", []),
        ("op=AcquireLicense", []),
        ("cfg=(persist:false,sl:150)&CMCD=ot%3Dk", []),
    ],
)
def test_foreign_names_in_the_query_get_licences_and_warnings(
    server: Server, client: Client, header_of: HeaderOf, query: str, names: list[str]
) -> None:
    status, warnings = warnings_of(server, client.challenge(header_of(KID)), query)
    assert (status, warnings) == (200, [f"'{name}' has no effect" for name in names])


def test_the_log_has_the_warnings(server: Server, client: Client, header_of: HeaderOf) -> None:
    warnings_of(server, client.challenge(header_of(KID)), "sessionid=in-the-log")
    deadline = time.monotonic() + REPLY_SECONDS
    while "'sessionid' has no effect" not in (log := server.log.read_text()):
        assert time.monotonic() < deadline, log
    assert "in-the-log" not in log


def test_many_foreign_names_get_a_few_warnings(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    query = "&".join(f"name{number}=1" for number in range(1000))
    status, warnings = warnings_of(server, client.challenge(header_of(KID)), query)
    assert (status, len(warnings)) == (200, 8)


def test_a_misspelled_parameter_is_refused(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    with pytest.raises(ServiceSpecific, match="the nearest known name is SecurityLevel"):
        client.acquire(f"{server.url}?SecurityLevl=2000&token=abc", header_of(KID))


def test_the_published_scenario_gives_root_and_leaf_of_one_kid(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    query = f"cfg=(rootid:{CHAINED},kid:header),(isroot:true,kid:{CHAINED})"
    before = int(time.time())
    root, leaf = client.acquire(f"{server.url}?{query}", header_of(CHAINED)).licenses
    assert {root.kid, leaf.kid} == {Kid.from_base64(CHAINED)}
    assert root.content_key == leaf.content_key
    for opened in (root, leaf):
        expiration = opened.license.find(Expiration)
        assert expiration is not None
        assert before + 300 <= expiration.end <= time.time() + 300


@pytest.mark.parametrize("in_custom_data", [False, True])
def test_a_licence_above_the_devices_level_leaves_the_others(
    server: Server, client: Client, header_of: HeaderOf, *, in_custom_data: bool
) -> None:
    header = header_of(KID, VIDEO, version="4.3.0.0")
    groups = [{"kid": VIDEO, "sl": "3000"}, {"kid": KID, "sl": "2000"}]
    query = "cfg=" + ",".join(f"(kid:{each['kid']},sl:{each['sl']})" for each in groups)
    custom_data = f"json={json.dumps(groups)}" if in_custom_data else None
    url = server.url if in_custom_data else f"{server.url}?{query}"
    (audio,) = client.acquire(url, header, custom_data).licenses
    assert audio.kid == Kid.from_base64(KID)
    with pytest.raises(ServiceSpecific, match="needs security level 3000"):
        client.acquire(f"{server.url}?cfg=(sl:3000)", header)


def test_a_url_for_several_tracks_gives_the_licence_of_each_header(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    url = f"{server.url}?cfg=(kid:{KID}),(kid:{VIDEO})"
    for kid in (KID, VIDEO):
        (license_,) = client.acquire(url, header_of(kid)).licenses
        assert license_.kid == Kid.from_base64(kid)
    with pytest.raises(ServiceSpecific, match="expected header or one of the header's"):
        client.acquire(url, header_of(CHAINED))


def test_dates_are_relative_to_the_servers_clock(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    for query in ("cfg=(enddate:+120)", "Expiration=%2B120", "cfg=(expiration:PT2M)"):
        before = int(time.time())
        (license_,) = client.acquire(f"{server.url}?{query}", header_of(KID)).licenses
        expiration = license_.license.find(Expiration)
        assert expiration is not None
        assert before + 120 <= expiration.end <= time.time() + 120


def test_json_alone_in_custom_data_is_read(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    custom_data = '{"firstexp":"60","persist":"true"}'
    (license_,) = client.acquire(server.url, header_of(KID), custom_data).licenses
    assert license_.license.find(ExpireAfterFirstPlay) is not None


def test_root_and_leaf_of_published_samples_open(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    root = "SFNBRGhGRkdPS1VTdmlkZQ=="
    client.acquire(f"{server.url}?PlayRight=1&UseRootLicense=1", header_of(root))
    leaf = f"PlayRight=1&CompressedDigitalVideoOPL=300&UseChainLicense=1&UplinkKey={root}"
    with pytest.raises(ServiceSpecific, match="rootid is"):
        client.acquire(f"{server.url}?{leaf.replace(root, VIDEO)}", header_of(KID))
    both = f"cfg=(isroot:true,kid:{root}),(rootid:{root},kid:header,cvopl:300)"
    assert len(client.acquire(f"{server.url}?{both}", header_of(KID)).licenses) == 2


@pytest.mark.parametrize("features", [(), ("AESCTR",)])
def test_only_devices_that_declare_cbc_get_keys_for_it(
    server: Server, client: Client, header_of: HeaderOf, features: tuple[str, ...]
) -> None:
    by_header = header_of(KID, version="4.3.0.0", algid="AESCBC")
    before = server.issued()
    for header, target in (
        (header_of(KID), "/rightsmanager.asmx?cfg=(ckt:aescbc)"),
        (by_header, "/rightsmanager.asmx"),
    ):
        answer = server.post(client.challenge(header, features=features), target)
        assert (answer.status, answer.code) == (500, "0x8004c604")
        assert "does not have the feature AESCBC" in answer.body.decode()
    assert server.issued() == before
    for header in (header_of(KID), by_header):
        declared = client.challenge(header, features=(*features, "AESCBC"))
        assert server.post(declared, "/rightsmanager.asmx?cfg=(ckt:aescbc)").status == 200


def key_message(challenge: bytes) -> bytes:
    """Return a challenge as a browser hands it to a page: UTF-16 without a byte order mark."""
    text = (
        '<PlayReadyKeyMessage type="LicenseAcquisition"><LicenseAcquisition Version="1">'
        f'<Challenge encoding="base64encoded">{base64.b64encode(challenge).decode()}</Challenge>'
        "</LicenseAcquisition></PlayReadyKeyMessage>"
    )
    return text.encode("utf-16-le")


@pytest.mark.parametrize(
    ("wrap", "forms"),
    [
        (key_message, "PlayReadyKeyMessage, Challenge, base64"),
        (base64.b64encode, "base64"),
        (lambda body: body.decode().encode("utf-16-le"), None),
    ],
    ids=["key message", "base64", "UTF-16 without mark"],
)
def test_a_wrapped_challenge_gets_a_licence_and_a_warning(
    server: Server,
    client: Client,
    header_of: HeaderOf,
    wrap: Callable[[bytes], bytes],
    forms: str | None,
) -> None:
    status, warnings = warnings_of(server, wrap(client.challenge(header_of(KID))), "")
    found = f"the body is not a SOAP envelope: it was found in {forms}"
    assert (status, warnings) == (200, [] if forms is None else [found])


@pytest.mark.parametrize(
    ("charset", "encoding", "status"),
    [
        ("utf-16", "utf-16-le", 200),
        ("utf-8", "utf-16", 200),
        ("utf-8", "utf-8", 200),
        ("utf-8", "utf-16-le", 500),
        ('"UTF-8"', "utf-16-be", 500),
    ],
)
def test_a_wrapped_challenge_is_refused_if_its_charset_is_wrong_too(
    server: Server, client: Client, header_of: HeaderOf, *, charset: str, encoding: str, status: int
) -> None:
    message = key_message(client.challenge(header_of(KID))).decode("utf-16-le")
    content_type = f"text/xml; charset={charset}"
    answer = server.post(message.encode(encoding), Content_Type=content_type)
    assert answer.status == status
    assert (b"found in PlayReadyKeyMessage" in answer.body) == (status == 500)


def test_published_urls_get_licences_or_the_fault_that_they_ask_for(
    server: Server, enrol: Enrol
) -> None:
    clients = {level: enrol(server.data, level) for level in (2000, 3000)}
    wrong = []
    for url in URLS:
        client = clients[url.get("security_level", 2000)]
        body = client.challenge(named_header(url["query"]))
        answer = server.post(body, f"/{'/'.join(url['path'])}?{url['query']}")
        if not is_expected(url, answer):
            wrong.append((url["query"], answer.status, answer.body[:300]))
    assert wrong == []


def is_expected(url: dict[str, Any], answer: Answer) -> bool:
    if "server" in url:
        is_refused = answer.status == int(url["server"]["status"])
        return is_refused and str(url["server"]["text"]) in answer.body.decode()
    if "fault" in url:
        return answer.code == str(url["fault"])
    if "refusal" in url:
        is_refused = answer.code == "0x8004c604"
        return is_refused and str(url["refusal"]) in unescape(answer.body.decode())
    return answer.status == 200 and b"<License>" in answer.body
