"""Settings: the file is the reference, the environment wins, and what is wrong is named."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from rightsmanager.errors import InternalError
from rightsmanager.settings import (
    ALL_ROLES,
    REFERENCE,
    Role,
    ServerSettings,
    Settings,
    default_settings,
    find_file,
    load,
    passphrase,
)
from rightsmanager.soap import operations

FILE = Path(__file__).parents[1] / REFERENCE


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def test_the_reference_has_every_setting_with_its_default() -> None:
    assert tomllib.loads(FILE.read_text("utf-8")) == Settings().model_dump(mode="json")
    assert load(FILE).model_dump() == load(None).model_dump() == Settings().model_dump()


def test_every_setting_of_the_reference_has_a_sentence() -> None:
    lines = FILE.read_text("utf-8").splitlines()
    said = False
    for line in lines:
        if re.match(r"[a-z_]+ = ", line):
            assert said, line
        said = line.startswith("#") or (said and line != "")


def test_roles_are_those_of_the_operations() -> None:
    assert get_args(Role) == ALL_ROLES == tuple(role.value for role in operations.Role)


def test_the_environment_wins_over_the_file_and_an_argument_over_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('data = "file"\n[server]\nworkers = 2\nthreads = 3\nbind = "127.0.0.1:1"')
    monkeypatch.setenv("RIGHTSMANAGER_SERVER__WORKERS", "5")
    monkeypatch.setenv("RIGHTSMANAGER_SERVER__BIND", "127.0.0.1:2")
    monkeypatch.setenv("RIGHTSMANAGER_DATA", "environment")
    settings = load(file, server={"bind": "127.0.0.1:3"})
    assert settings.data == Path("environment")
    assert (settings.server.workers, settings.server.threads) == (5, 3)
    assert settings.server.bind == "127.0.0.1:3"
    assert load(file, data=tmp_path).data == tmp_path
    assert load(None).server.threads == 4


def test_lists_in_the_environment_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGHTSMANAGER_SERVER__ROLES", '["license", "metering"]')
    assert load(None).server.roles == ("license", "metering")
    monkeypatch.setenv("RIGHTSMANAGER_SERVER__ROLES", "license")
    with pytest.raises(InternalError, match=r'cannot be read: .* "server"'):
        load(None)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('dtaa = "var"', "dtaa"),
        ("[sever]\nworkers = 1", "sever"),
        ("[server]\nworker = 1", "server.worker"),
        ("[server]\nworkers = 0", "server.workers"),
        ('[server]\nworkers = "many"', "server.workers"),
        ("[server]\ntimeout = -1", "server.timeout"),
        ("[server]\nmax_body = 10", "server.max_body"),
        ('[server]\nbind = "8080"', "server.bind"),
        ('[server]\nbind = "h:65536"', "server.bind"),
        ('[server]\nroles = ["licence"]', "server.roles"),
        ('[server]\ntrust_forwarded = "perhaps"', "server.trust_forwarded"),
        ("[keyring]\ntrust_anchors = 1", "keyring.trust_anchors"),
        ('[license]\nsign = "never"', "license.sign"),
        ("[policy]\nsecurity_level = -1", "policy.security_level"),
        ("[policy]\nvalid_for = 4294967296", "policy.valid_for"),
        ("[policy]\nanalog_video = 65536", "policy.analog_video"),
        ('[crypto]\nbackend = "quantum"', "crypto.backend"),
        ("[crypto]\nchain_cache = 0", "crypto.chain_cache"),
        ('[log]\nlevel = "loud"', "log.level"),
        ("server = 1", "server"),
        ("not toml", "cannot be read"),
        ("[server]\nworkers = 1\nworkers = 2", "cannot be read"),
    ],
)
def test_what_is_wrong_in_a_file_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(InternalError, match=re.escape(named)) as refused:
        load(file)
    assert "\n" not in refused.value.text


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("RIGHTSMANAGER_SERVER__WORKERS", "none", "server.workers"),
        ("RIGHTSMANAGER_SERVER__WORKER", "1", "server.worker"),
        ("RIGHTSMANAGER_SEVER__WORKERS", "1", "RIGHTSMANAGER_SEVER__WORKERS"),
        ("RIGHTSMANAGER_WORKERS", "1", "RIGHTSMANAGER_WORKERS"),
        ("RIGHTSMANAGER_POLICY__PLAY", "maybe", "policy.play"),
    ],
)
def test_what_is_wrong_in_the_environment_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, named: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InternalError, match=re.escape(named)):
        load(None)


def test_a_bad_value_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[license]\nkey_seed = 123456789")
    with pytest.raises(InternalError) as refused:
        load(file)
    assert "license.key_seed" in refused.value.text
    assert "123456789" not in refused.value.text


def test_the_file_is_the_named_one_else_the_folders_else_the_reference(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    assert find_file(data) is None
    (tmp_path / "config").mkdir()
    (tmp_path / REFERENCE).write_text('data = "elsewhere"')
    assert find_file(data) == REFERENCE
    assert default_settings().data == Path("elsewhere")
    data.mkdir()
    (data / "rightsmanager.toml").write_text("")
    assert find_file(data) == data / "rightsmanager.toml"
    monkeypatch.setenv("RIGHTSMANAGER_CONFIG", "named.toml")
    assert find_file(data) == Path("named.toml")
    with pytest.raises(InternalError, match=r"named\.toml does not exist"):
        load(find_file(data))


def test_settings_cannot_be_changed() -> None:
    settings = Settings()
    for owner, name in ((settings, "data"), (settings.server, "workers")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(owner, name, getattr(owner, name))


def test_the_database_is_in_the_data_folder_unless_it_is_set(tmp_path: Path) -> None:
    inside = load(None, data=tmp_path).effective_database_url
    assert inside == f"sqlite:///{tmp_path}/rightsmanager.db"
    set_ = load(None, data=tmp_path, database_url="postgresql+psycopg://h/d")
    assert set_.effective_database_url == "postgresql+psycopg://h/d"


def test_the_passphrase_comes_from_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert passphrase() is None
    monkeypatch.setenv("RIGHTSMANAGER_PASSPHRASE", "")
    assert passphrase() is None
    monkeypatch.setenv("RIGHTSMANAGER_PASSPHRASE", "schlüssel")
    assert passphrase() == "schlüssel".encode()
    load(None)


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "https://a.example", "http://localhost:3000", "app://x", "http://[::1]:1"],
)
def test_an_origin_is_spelt_as_browsers_spell_it(origin: str) -> None:
    assert ServerSettings(cors_origins=(origin,)).cors_origins == (origin,)


@pytest.mark.parametrize(
    "origin", ["", "a.example", "https://a.example/", "https://A.example", "https://*.example"]
)
def test_an_origin_that_no_browser_has_is_refused(origin: str) -> None:
    with pytest.raises(InternalError, match=r"server\.cors_origins.*expected \*, null or scheme"):
        load(None, server={"cors_origins": [origin]})


@pytest.mark.parametrize(
    "server", [{"certfile": "a", "https": "self-signed"}, {"keyfile": "a"}, {"https": "on"}]
)
def test_https_by_two_certificates_or_none_is_refused(server: dict[str, str]) -> None:
    with pytest.raises(InternalError, match=r"expected|self-signed"):
        load(None, server=server)
