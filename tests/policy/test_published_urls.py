"""Published LA_URLs give a licence, the fault they ask for, or a refusal for a stated reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.decision import Decision, LicenseQuery, decide
from rightsmanager.policy.defaults import DefaultDomain, LicenseDefaults
from rightsmanager.policy.device import Device
from rightsmanager.policy.query import parse_query
from rightsmanager.policy.rules import WarningCode
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.formats.wrmheader import Header
from rightsmanager.protocol.wire import AccountId, Kid
from tests.policy.sample import KIDS, header
from tests.second import certificates as cert
from tests.second import world

FILE = Path(__file__).parents[1] / "vectors" / "request_urls.json"
URLS: list[dict[str, Any]] = json.loads(FILE.read_text("utf-8"))["urls"]
DEFAULTS = LicenseDefaults(domain=DefaultDomain(account_id=AccountId(bytes(16))))
NOW = 1790000000


def named_header(query: str) -> Header:
    """Return a header with the KIDs that a query names, roots apart, or one of any KID."""
    kids: dict[Kid, None] = {}
    for requested in parse_query(query):
        values = {parameter.name: value for parameter, value in requested}
        if isinstance(values.get("kid"), Kid) and not values.get("isroot"):
            kids[values["kid"]] = None
    return header(*(kids or KIDS[:1]))


def decided(url: dict[str, Any]) -> Decision:
    leaf = cert.Subject(cert.DEVICE, world.DEVICE_KEYS, level=url.get("security_level", 2000))
    device = Device("", parse_chain(world.device_chain(leaf)), client_time=NOW)
    query, address = url["query"], "/".join(("https://h", *url["path"]))
    return decide(
        LicenseQuery(named_header(query), query, None, device, address),
        DEFAULTS,
        NOW,
    )


def urls(outcome: str | None) -> pytest.MarkDecorator:
    """Parametrize by the URLs with an outcome, None for licences."""
    named = {"fault", "refusal"} if outcome is None else {outcome}
    found = [url for url in URLS if (outcome is not None) == bool(url.keys() & named)]
    return pytest.mark.parametrize("url", found, ids=lambda url: url["query"])


@urls(None)
def test_a_published_url_gives_licences(url: dict[str, Any]) -> None:
    decision = decided(url)
    assert decision.refusal is None
    assert decision.grants
    unknown = [
        warning.text.split("'")[1]
        for warning in decision.warnings
        if warning.code is WarningCode.UNKNOWN_PARAMETER
    ]
    assert sorted(unknown) == sorted(url.get("unknown", []))


@urls("fault")
def test_a_published_url_gives_the_fault_it_asks_for(url: dict[str, Any]) -> None:
    refusal = decided(url).refusal
    assert refusal is not None
    assert refusal.status.hex == url["fault"]
    assert refusal.text.startswith(url.get("text", f"errorcode {url['fault']} was asked for"))


@urls("refusal")
def test_a_published_url_is_refused_for_the_stated_reason(url: dict[str, Any]) -> None:
    assert url["reason"]
    with pytest.raises(ServiceSpecific) as caught:
        decided(url)
    assert caught.value.text.startswith(url["refusal"])
