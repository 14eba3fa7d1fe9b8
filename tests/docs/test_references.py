"""Settings, files and tables of the documentation match the project."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from rightsmanager.app import build
from rightsmanager.cli.serve import prepare
from rightsmanager.environment import DATA_FILE, FILE_VARIABLE, PASSPHRASE_VARIABLE, REFERENCE
from rightsmanager.errors import StatusCode
from rightsmanager.keyring.identities import IDENTITIES
from rightsmanager.protocol.messages.operations import OPERATIONS, Role
from rightsmanager.server import Runtime
from rightsmanager.settings import ALL_ROLES, KNOWN_TRACKS, Settings
from rightsmanager.settings_loading import load
from rightsmanager.web.api.routes import BASE
from rightsmanager.web.look import STATIC_PATH, STYLE
from rightsmanager.web.pages import EXPLAIN_PATH, PARAMETERS_PATH, PUBLIC_PATH, RIGHTS_PATH
from rightsmanager.web.router import CONSOLE_PATH
from tests.docs.conftest import Workplace
from tests.docs.documents import (
    DOCUMENTS,
    ROOT,
    anchors,
    blocks,
    links,
    prose,
    spans,
    table,
    tables,
)

README = ROOT / "README.md"
CONFIGURATION = ROOT / "docs" / "configuration.md"
STATUS = ROOT / "docs" / "protocol-status.md"
TROUBLESHOOTING = ROOT / "docs" / "troubleshooting.md"
KEYRING = ROOT / "docs" / "keyring.md"

SECTIONS: dict[str, set[str]] = {
    name: set(field.annotation.model_fields)
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}
SETTINGS = {f"{section}.{name}" for section, names in SECTIONS.items() for name in names}
PLAIN_SETTINGS = set(Settings.model_fields) - set(SECTIONS) - {"tracks"}
VARIABLES = {FILE_VARIABLE, PASSPHRASE_VARIABLE, "RIGHTSMANAGER_DATA"} | {
    "RIGHTSMANAGER_" + name.replace(".", "__").upper() for name in SETTINGS | PLAIN_SETTINGS
}
FILE_ENDINGS = {"asmx", "bin", "chain", "db", "key", "pem", "pub", "toml"}

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)


@each_document
def test_each_setting_that_is_mentioned_exists(document: Path) -> None:
    dotted = {span for span in spans(document) if re.fullmatch(r"[a-z_]+\.[a-z_]+", span)}
    assert {name for name in dotted if name.partition(".")[2] not in FILE_ENDINGS} <= SETTINGS


@each_document
def test_each_variable_that_is_mentioned_exists(document: Path) -> None:
    named = set(re.findall(r"RIGHTSMANAGER_[A-Z]\w*", document.read_text()))
    assert named <= VARIABLES


@each_document
def test_each_relative_link_has_a_target(document: Path) -> None:
    for link in links(document):
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


@each_document
def test_each_settings_file_that_is_shown_is_valid(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    for text in blocks(document, "toml"):
        file = tmp_path / DATA_FILE
        file.write_text(text)
        assert load(file) != load(None), text


def test_the_reference_names_every_setting_with_its_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    reference: dict[str, Any] = tomllib.loads((ROOT / REFERENCE).read_text())
    tracks = reference["tracks"]
    assert tracks == KNOWN_TRACKS
    del reference["tracks"]
    named = {name: set(value) for name, value in reference.items() if isinstance(value, dict)}
    assert named == SECTIONS
    assert set(reference) - set(SECTIONS) == PLAIN_SETTINGS
    assert load(ROOT / REFERENCE).model_dump() == load(None).model_dump()


def test_the_roles_are_those_of_the_settings() -> None:
    (sentence,) = re.findall(r"`server.roles` says (.*?)\. ", prose(CONFIGURATION), re.DOTALL)
    assert tuple(re.findall(r"`(\w+)`", sentence)) == ALL_ROLES
    assert tuple(role.value for role in Role) == ALL_ROLES


def test_the_table_of_operations_is_the_services() -> None:
    rows = table(README, "operation", "role", "state", "form of the messages")
    assert [(name, role) for name, role, *_ in rows] == [
        (f"`{operation.name}`", operation.role.value) for operation in OPERATIONS.values()
    ]


def test_the_state_of_each_operation_is_right(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    prepare(settings)
    server = build(settings, Runtime())
    server.store.close()
    rows = table(README, "operation", "role", "state", "form of the messages")
    assert {name.strip("`") for name, _, state, _ in rows if state == "served"} == set(
        server.operations
    )
    assert {state for _, _, state, _ in rows} <= {"served", "not built yet"}


def test_each_operation_has_a_status_of_the_protocol() -> None:
    rows = table(STATUS, "operation", "public", "profile")
    assert [name for name, *_ in rows] == [f"`{name}`" for name in OPERATIONS]


def test_the_dependencies_are_those_of_the_project() -> None:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    expected = [(_name(line), "running") for line in project["dependencies"]]
    expected += [(_name(line), "tests") for line in project["optional-dependencies"]["test"]]
    rows = table(README, "package", "for", "why")
    assert [(name.strip("`"), purpose) for name, purpose, _ in rows] == expected
    assert all(why for *_, why in rows)


def test_the_identities_are_those_of_the_keyring() -> None:
    rows = table(KEYRING, "identity", "under", "what it does")
    assert [(name.strip("`"), under.strip("`")) for name, under, _ in rows] == [
        (identity.name, identity.certified.issuer if identity.certified else "none")
        for identity in IDENTITIES
    ]


def test_the_public_files_are_those_of_the_data_folder(workplace: Workplace) -> None:
    rows = table(README, "file", "what it is", "what for")
    made = {file.name for file in (workplace.folder / "var" / "public").iterdir()}
    assert {name.strip("`") for name, *_ in rows} == made


def test_every_format_has_a_status() -> None:
    (rows,) = tables(STATUS, "format", "status")
    assert {status.partition(";")[0] for _, status in rows} <= {
        "public",
        "profile",
        "not chosen yet",
    }


def test_the_proxys_limits_are_wider_than_the_servers() -> None:
    text = (ROOT / "config" / "nginx" / "rightsmanager.conf").read_text()
    server = Settings().server
    assert f"server {server.bind};" in text
    assert _number(r"client_max_body_size (\d+)m;", text) * 1024 * 1024 > max(
        server.max_body, Settings().metering.max_body
    )
    assert _number(r"keepalive_timeout (\d+)s;", text) < server.keepalive_seconds
    assert _number(r"proxy_read_timeout (\d+)s;", text) > server.timeout_seconds
    assert set(re.findall(r"X-Forwarded-\w+", text)) == {
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
    }


@pytest.mark.parametrize(
    ("path", "is_passed_on"),
    [
        ("/rightsmanager.asmx", True),
        ("/playready/RightsManager.asmx", True),
        (EXPLAIN_PATH, True),
        (PARAMETERS_PATH, True),
        (RIGHTS_PATH, True),
        (f"{PUBLIC_PATH}/root.pub", True),
        (f"{STATIC_PATH}/{STYLE}", True),
        (f"{STATIC_PATH}/vendor/htmx.min.js", True),
        (f"{PUBLIC_PATH}/../keyring/root.key", False),
        (f"{BASE}/openapi.json", False),
        (f"{CONSOLE_PATH}/", False),
        (f"/other{EXPLAIN_PATH}", False),
    ],
)
def test_the_proxy_passes_on_the_service_its_pages_and_public_files(
    path: str, *, is_passed_on: bool
) -> None:
    text = (ROOT / "config" / "nginx" / "rightsmanager.conf").read_text()
    (pattern,) = re.findall(r"location ~\* (\S+) \{", text)
    assert bool(re.search(pattern, path, re.IGNORECASE)) is is_passed_on


def test_each_text_of_a_refusal_is_one_of_the_sources() -> None:
    sources = [file.read_text() for file in (ROOT / "rightsmanager").rglob("*.py")]
    # A text that is too long for a line is several literals there.
    known = [re.sub(r'"\s*f?"', "", source) for source in sources]
    rows = table(TROUBLESHOOTING, "text", "cause", "what to do")
    texts = [text for cell, *_ in rows for text in re.findall(r"`([^`]+)`", cell)]
    assert [text for text in texts if not any(text in source for source in known)] == []


def test_each_status_code_is_explained() -> None:
    rows = table(TROUBLESHOOTING, "code", "meaning", "who has to act")
    assert [code for code, *_ in rows] == [code.hex for code in sorted(StatusCode)]


def _name(requirement: str) -> str:
    return re.split(r"[<>=\[]", requirement)[0]


def _number(pattern: str, text: str) -> int:
    (number,) = re.findall(pattern, text)
    return int(number)
