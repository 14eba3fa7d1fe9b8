"""Challenges of a second implementation through the whole server, in process and over HTTP."""

from __future__ import annotations

import io
import json
from base64 import b64decode
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.cli.serve import prepare
from rightsmanager.crypto import pem
from rightsmanager.crypto.keyseed import TEST_KEY_SEED, content_key
from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.crypto.p256_backends import BACKENDS, choose_backend
from rightsmanager.device import Device, LicenseOpener, open_reply
from rightsmanager.device.identity import load_server_keys
from rightsmanager.protocol.formats.bcert import ChainVerifier, parse_chain
from rightsmanager.protocol.formats.wrmheader import Header, HeaderKid, Version
from rightsmanager.protocol.messages.response import parse_fault
from rightsmanager.protocol.wire import Kid
from rightsmanager.protocol.xml.envelope import parse_envelope
from rightsmanager.server import Runtime
from rightsmanager.settings_loading import load
from tests.building import built
from tests.databases import on_sqlite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rightsmanager.settings import Settings
    from rightsmanager.store.licenses import IssuedLicense
    from tests.e2e.conftest import Databases, Start

NOW = 1790000000
VALID, INVALID = (1, 2, 3, 4), (5, 6, 7, 8, 9, 10, 11)


@dataclass(frozen=True)
class Target:
    """A server that has the vectors' server key and trusts their root."""

    post: Callable[[bytes], bytes]
    issued: Callable[[], list[IssuedLicense]]
    opening: LicenseOpener


@pytest.fixture(scope="module")
def challenges(vectors: Callable[[str], Any]) -> Any:  # noqa: ANN401 -- JSON
    return vectors("acquire_license")


@pytest.fixture(scope="module")
def by_id(challenges: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {test["id"]: test for test in challenges["tests"]}


@pytest.fixture(
    scope="module", params=[(way, name) for way in ("in process", "http") for name in BACKENDS]
)
def target(
    request: pytest.FixtureRequest,
    start: Start,
    databases: Databases,
    challenges: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Target]:
    way, name = request.param
    folder = tmp_path_factory.mktemp("vectors")
    environment = {
        **databases.environment(folder / "data"),
        **_environment(folder, challenges, name),
    }
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        settings = load(None, data=folder / "data")
    prepare(settings)
    device = Device(
        parse_chain(b64decode(challenges["device"]["chain"])),
        PrivateKey(b64decode(challenges["device"]["signing_private_key"])),
        PrivateKey(b64decode(challenges["device"]["encryption_private_key"])),
    )
    root = load_server_keys(settings.data / "public").root
    opening = LicenseOpener(device, ChainVerifier((root,)), choose_backend(name))
    if way == "in process":
        with _in_process(settings, opening) as here:
            yield here
    else:
        server = start(settings.data, **environment)
        yield Target(lambda body: server.post(body).body, server.issued, opening)


def _environment(folder: Path, challenges: dict[str, Any], backend: str) -> dict[str, str]:
    key, root = folder / "server.key", folder / "root.pub"
    key.write_bytes(pem.build_private_key(PrivateKey(b64decode(challenges["server_private_key"]))))
    root.write_bytes(b64decode(challenges["trust_anchor"]))
    return {
        "RIGHTSMANAGER_KEYRING__SERVER_KEYS": json.dumps([str(key)]),
        "RIGHTSMANAGER_KEYRING__TRUST_ANCHORS": json.dumps([str(root)]),
        "RIGHTSMANAGER_CRYPTO__BACKEND": backend,
    }


@contextmanager
def _in_process(settings: Settings, opening: LicenseOpener) -> Iterator[Target]:
    with built(settings, Runtime(clock=lambda: NOW)) as server:

        def post(body: bytes) -> bytes:
            environ = {
                "REQUEST_METHOD": "POST",
                "PATH_INFO": "/rightsmanager.asmx",
                "QUERY_STRING": "",
                "SERVER_NAME": "localhost",
                "SERVER_PORT": "80",
                "wsgi.url_scheme": "http",
                "wsgi.input": io.BytesIO(body),
                "CONTENT_LENGTH": str(len(body)),
            }
            return b"".join(server.wsgi(environ, lambda *_: None))

        def issued() -> list[IssuedLicense]:
            with server.store.transaction() as transaction:
                return transaction.licenses.find_all()

        yield Target(post, issued, opening)


def test_every_vector_is_here(by_id: dict[int, dict[str, Any]]) -> None:
    assert {name for name, test in by_id.items() if test["result"] == "valid"} == set(VALID)
    assert {name for name, test in by_id.items() if test["result"] == "invalid"} == set(INVALID)


@on_sqlite
@pytest.mark.parametrize("name", VALID)
def test_a_valid_challenge_gets_licences_that_its_device_opens(
    target: Target, by_id: dict[int, dict[str, Any]], name: int
) -> None:
    test = by_id[name]
    kids = [Kid.from_text(kid) for kid in test["expect"]["kids"]]
    header = Header(Version.V4_3, tuple(HeaderKid(kid) for kid in kids))
    before = set(target.issued())
    reply = parse_envelope(target.post(test["challenge"].encode()))
    _, licenses = open_reply(reply, target.opening, header, b64decode(test["expect"]["nonce"]), NOW)
    assert [license_.kid for license_ in licenses] == kids
    assert [license_.content_key for license_ in licenses] == [
        content_key(TEST_KEY_SEED, kid.raw) for kid in kids
    ]
    assert {license_.kid for license_ in set(target.issued()) - before} == set(kids)


@on_sqlite
@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_challenge_gets_its_status_code_and_nothing_is_stored(
    target: Target, by_id: dict[int, dict[str, Any]], name: int
) -> None:
    before = target.issued()
    fault = parse_fault(parse_envelope(target.post(by_id[name]["challenge"].encode())))
    assert fault is not None
    assert f"0x{fault.status:08x}" == by_id[name]["status_code"]
    assert target.issued() == before


@on_sqlite
def test_a_server_without_their_key_and_root_refuses_even_the_valid_ones(
    tmp_path: Path, by_id: dict[int, dict[str, Any]], target: Target
) -> None:
    settings = load(None, data=tmp_path / "data")
    prepare(settings)
    with _in_process(settings, target.opening) as stranger:
        for name in VALID:
            fault = parse_fault(parse_envelope(stranger.post(by_id[name]["challenge"].encode())))
            assert fault is not None
            assert "EncryptedData does not open" in fault.text
        assert stranger.issued() == []
