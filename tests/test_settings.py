"""Settings: the file is the reference, the environment overrides it, errors name the setting."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import SecretStr

from rightsmanager.environment import REFERENCE, find_file, passphrase
from rightsmanager.errors import InternalError
from rightsmanager.hooks.facts import KEY_ENDPOINT
from rightsmanager.protocol.messages import operations
from rightsmanager.settings import (
    ALL_ROLES,
    AskedOperation,
    Role,
    ServerSettings,
    Settings,
    TrackSettings,
)
from rightsmanager.settings_loading import (
    RENAMED,
    default_settings,
    load,
    load_with_origins,
    settings_in_force,
)

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
    defaults = Settings().model_dump(mode="json", exclude_none=True)
    assert tomllib.loads(FILE.read_text("utf-8")) == defaults
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


def test_operations_of_hooks_are_those_of_the_service() -> None:
    assert get_args(AskedOperation) == (*operations.OPERATIONS, KEY_ENDPOINT)


def test_the_environment_overrides_the_file_and_an_argument_both(
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


@pytest.mark.parametrize(
    "text", ['["license", "metering"]', "license,metering", " license , metering ,"]
)
def test_a_list_in_the_environment_is_json_or_has_commas(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("RIGHTSMANAGER_SERVER__ROLES", text)
    assert load(None).server.roles == ("license", "metering")


def test_a_section_and_a_table_in_the_environment_are_json_or_nested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RIGHTSMANAGER_SERVER", '{"workers": 3, "threads": 5}')
    monkeypatch.setenv("RIGHTSMANAGER_HOOKS__OPTIONS", '{"url": "a"}')
    monkeypatch.setenv("RIGHTSMANAGER_SERVER__THREADS", "6")
    settings = load(None)
    assert (settings.server.workers, settings.server.threads) == (3, 6)
    assert settings.hooks.options == {"url": "a"}
    monkeypatch.delenv("RIGHTSMANAGER_HOOKS__OPTIONS")
    monkeypatch.setenv("RIGHTSMANAGER_HOOKS__OPTIONS__URL", "b")
    assert load(None).hooks.options == {"url": "b"}


def test_a_track_has_its_defaults_where_it_is_not_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "tracks.toml"
    file.write_text("[tracks.uhd]\nsecurity_level = 2000\n[tracks.dolby-vision]\nplay = false\n")
    monkeypatch.setenv("RIGHTSMANAGER_TRACKS__SD__ANALOG_VIDEO", "100")
    tracks = load(file).tracks
    assert tracks["uhd"] == TrackSettings(security_level=2000, uncompressed_digital_video=300)
    assert tracks["dolby-vision"] == TrackSettings(play=False)
    assert tracks["sd"] == TrackSettings(analog_video=100)
    shown = {each.name: each.value for each in settings_in_force(load(file), {})}
    assert shown["tracks.uhd.security_level"] == 2000
    assert shown["tracks.dolby-vision.play"] is False
    assert "tracks.uhd.play" not in shown
    monkeypatch.setenv("RIGHTSMANAGER_TRACKS", "[]")
    with pytest.raises(InternalError, match="settings: tracks"):
        load(None)
    monkeypatch.setenv("RIGHTSMANAGER_TRACKS", '{"A b": {}}')
    with pytest.raises(InternalError, match="expected a name of lower-case letters"):
        load(None)


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_name_still_works_and_is_warned_of(tmp_path: Path, old: str) -> None:
    section, _, name = (old if "." in old else f"{old}.make").partition(".")
    value, new = ("m:f", "hooks.make") if name == "make" else (7, RENAMED.get(old, ""))
    value = "t" * 16 if section == "admin" else value
    file = tmp_path / "settings.toml"
    file.write_text(f"[{section}]\n{name} = {json.dumps(value)}")
    loaded = load_with_origins(file)
    found = flat(loaded.settings.model_dump())[new]
    assert (found.get_secret_value() if isinstance(found, SecretStr) else found) == value
    assert loaded.warnings == (f"{file}: the setting {section}.{name} is now called {new}",)


def test_a_setting_that_is_gone_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGHTSMANAGER_ADMIN__PATH", "/operator")
    (warning,) = load_with_origins(None).warnings
    origin = "RIGHTSMANAGER_ADMIN__PATH"
    assert warning == f"{origin}: the setting admin.path is gone: the API is at /api/v1"


def test_an_old_name_works_in_the_environment_and_the_new_one_overrides_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RIGHTSMANAGER_SEAM__SECONDS", "2")
    monkeypatch.setenv("RIGHTSMANAGER_SEAM__OPTIONS__URL", "a")
    loaded = load_with_origins(None)
    assert loaded.settings.hooks.timeout_seconds == 2
    assert loaded.settings.hooks.options == {"url": "a"}
    assert len(loaded.warnings) == 2
    monkeypatch.setenv("RIGHTSMANAGER_HOOKS__TIMEOUT_SECONDS", "3")
    assert load(None).hooks.timeout_seconds == 3


@pytest.mark.parametrize(
    "variable",
    [
        *("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_8080_TCP"),
        *("PORT_8080_TCP_PROTO", "PORT_8080_TCP_PORT", "PORT_8080_TCP_ADDR", "PORT_53_UDP"),
        *("DB_SERVICE_HOST", "DB_PORT_5432_TCP", "MAIN_DB_PORT", "NAME", "ENV_PATH"),
    ],
)
def test_a_variable_that_kubernetes_or_docker_injects_is_ignored(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(f"RIGHTSMANAGER_{variable}", "tcp://10.0.0.1:8080")
    assert load(None) == Settings()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('dtaa = "var"', "dtaa"),
        ("[sever]\nworkers = 1", "sever"),
        ("[server]\nworker = 1", "server.worker"),
        ("[server]\nworkers = 0", "server.workers"),
        ('[server]\nworkers = "many"', "server.workers"),
        ("[server]\ntimeout_seconds = -1", "server.timeout_seconds"),
        ("[server]\ntimeout = -1", "server.timeout_seconds"),
        ("[server]\nmax_body = 10", "server.max_body"),
        ('[server]\nbind = "8080"', "server.bind"),
        ('[server]\nbind = "h:65536"', "server.bind"),
        ('[server]\nroles = ["licence"]', "server.roles"),
        ('[server]\ntrust_forwarded = "perhaps"', "server.trust_forwarded"),
        ("[keyring]\ntrust_anchors = 1", "keyring.trust_anchors"),
        ('[license]\nsign = "never"', "license.sign"),
        ("[policy]\nsecurity_level = -1", "policy.security_level"),
        ("[policy]\nvalid_for_seconds = 4294967296", "policy.valid_for_seconds"),
        ("[policy]\nanalog_video = 65536", "policy.analog_video"),
        ('[crypto]\nbackend = "quantum"', "crypto.backend"),
        ("[crypto]\nchain_cache = 0", "crypto.chain_cache"),
        ('[log]\nlevel = "loud"', "log.level"),
        ('[hooks]\nurl = "ftp://x"', "hooks.url"),
        ('[hooks]\nurl = "http://x/?a=b"', "expected a URL without query, fragment and user"),
        ('[hooks]\nurl = "http://x"\ntimeout_seconds = 1', "expected at most timeout_seconds"),
        ("server = 1", "server"),
        ("not toml", "cannot be read"),
        ("[server]\nworkers = 1\nworkers = 2", "cannot be read"),
    ],
)
def test_an_invalid_file_is_refused_with_the_settings_name(
    tmp_path: Path, text: str, named: str
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(InternalError, match=re.escape(named)) as refused:
        load(file)
    assert "\n" not in refused.value.text


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("RIGHTSMANAGER_SERVER__WORKERS", "none", "server.workers (RIGHTSMANAGER_SERVER__WORKERS)"),
        ("RIGHTSMANAGER_SERVER__WORKRS", "1", "not a setting, did you mean server.workers?"),
        ("RIGHTSMANAGER_SERVER__PORT", "1", "RIGHTSMANAGER_SERVER__PORT"),
        ("RIGHTSMANAGER_SERVER__ROLES", "licence", "RIGHTSMANAGER_SERVER__ROLES"),
        (
            "RIGHTSMANAGER_SERVER__ROLES",
            '["license"',
            "RIGHTSMANAGER_SERVER__ROLES): expected a list",
        ),
        ("RIGHTSMANAGER_SERVER", "1", "RIGHTSMANAGER_SERVER"),
        ("RIGHTSMANAGER_SERVER", "{", "RIGHTSMANAGER_SERVER is not JSON"),
        ("RIGHTSMANAGER_HOOKS__OPTIONS", "a=b", "RIGHTSMANAGER_HOOKS__OPTIONS): expected a JSON"),
        ("RIGHTSMANAGER_SEVER__WORKERS", "1", "RIGHTSMANAGER_SEVER__WORKERS"),
        ("RIGHTSMANAGER_WORKERS", "1", "RIGHTSMANAGER_WORKERS"),
        ("RIGHTSMANAGER_POLICY__PLAY", "maybe", "policy.play"),
    ],
)
def test_an_invalid_variable_is_refused_with_its_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, named: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InternalError, match=re.escape(named)):
        load(None)


def test_an_invalid_value_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[license]\nkey_seed = 123456789")
    with pytest.raises(InternalError) as refused:
        load(file)
    assert "license.key_seed" in refused.value.text
    assert "123456789" not in refused.value.text


def test_the_settings_file_is_the_named_one_else_the_folders_else_the_reference(
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
def test_an_origin_may_have_the_spelling_of_browsers(origin: str) -> None:
    assert ServerSettings(cors_origins=(origin,)).cors_origins == (origin,)


@pytest.mark.parametrize(
    "origin", ["", "a.example", "https://a.example/", "https://A.example", "https://*.example"]
)
def test_an_origin_with_another_spelling_is_refused(origin: str) -> None:
    with pytest.raises(InternalError, match=r"server\.cors_origins.*expected \*, null or scheme"):
        load(None, server={"cors_origins": [origin]})


@pytest.mark.parametrize(
    "server", [{"certfile": "a", "https": "self-signed"}, {"keyfile": "a"}, {"https": "on"}]
)
def test_contradicting_https_settings_are_refused(server: dict[str, str]) -> None:
    with pytest.raises(InternalError, match=r"expected|self-signed"):
        load(None, server=server)
