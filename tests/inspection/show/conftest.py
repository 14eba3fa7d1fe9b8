"""The vectors as things to show, and contexts with every aid and with none."""

import json
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rightsmanager.crypto.p256 import PrivateKey, PublicKey
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.inspection import Check, Context, Description

VECTORS = Path(__file__).parents[2] / "vectors"
NOW = 1790000000
BACKEND = choose_backend("portable")


def vector(name: str) -> Any:  # noqa: ANN401 -- JSON of any shape
    return json.loads((VECTORS / f"{name}.json").read_text("utf-8"))


def all_things() -> dict[str, bytes]:
    """Give every vector that can be shown, by a name."""
    challenges = vector("acquire_license")
    licenses, boxes, headers = vector("xmr_bound"), vector("pssh"), vector("wrmheader")
    return {
        "xmr_published": b64decode(vector("xmr_published")["license"]),
        "chain": b64decode(challenges["device"]["chain"]),
        **{f"xmr_bound_{t['id']}": b64decode(t["license"]) for t in licenses["tests"]},
        **{f"challenge_{t['id']}": t["challenge"].encode() for t in challenges["tests"]},
        **{f"pssh_{t['id']}": b64decode(t["box"]) for t in boxes["boxes"]},
        **{f"object_{t['id']}": b64decode(t["object"]) for t in boxes["objects"]},
        **{f"wrmheader_{t['id']}": t["header"].encode() for t in headers["tests"]},
    }


@pytest.fixture(scope="session")
def things() -> dict[str, bytes]:
    return all_things()


@pytest.fixture(scope="session")
def bare() -> Context:
    return Context(now=NOW, backend=BACKEND)


@pytest.fixture(scope="session")
def aided() -> Context:
    """Knows the root, the server's key and the device's of the vectors."""
    challenges = vector("acquire_license")
    return Context(
        now=NOW,
        backend=BACKEND,
        trust_anchors=(PublicKey(b64decode(challenges["trust_anchor"])),),
        server_keys=(PrivateKey(b64decode(challenges["server_private_key"])),),
        device_keys=(PrivateKey(b64decode(vector("xmr_bound")["encryption_private_key"])),),
        device_level=challenges["device"]["security_level"],
    )


def outcome_names(description: Description, outcome: str) -> set[str]:
    return {check.name for check in description.all_checks() if check.outcome == outcome}


def find(description: Description, name: str) -> Description:
    """Return the first fact of a name, however deep."""
    found = _find(description, name)
    assert found is not None, f"{name} is not there"
    return found


def _find(description: Description, name: str) -> Description | None:
    if description.name == name:
        return description
    found = (_find(child, name) for child in description.children)
    return next((each for each in found if each is not None), None)


@pytest.fixture(name="find")
def find_fixture() -> Callable[[Description, str], Description]:
    return find


@pytest.fixture
def names() -> Callable[[Description, str], set[str]]:
    """Give the names of the checks in a tree that have an outcome."""
    return outcome_names


@pytest.fixture
def own_check() -> Callable[[Description, str], Check]:
    """Give a description's own check of a name."""
    return lambda description, name: next(c for c in description.checks if c.name == name)
