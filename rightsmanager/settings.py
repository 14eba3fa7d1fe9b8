"""One frozen value with every setting; `config/rightsmanager.toml` is its reference.

A setting comes from a command's option, else from the environment (`RIGHTSMANAGER_` and the name,
with two underscores after the section's name, such as `RIGHTSMANAGER_SERVER__WORKERS`), else from
the file, else from its default.
"""

import base64
import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from rightsmanager.environment import (
    Given,
    find_data,
    find_file,
    merge,
    read_options,
    read_toml,
    read_variables,
    rename,
)
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.protocol.wire import Guid, find_track

Role = Literal["license", "domain", "metering", "secure_stop", "secure_delete", "packaging"]
ALL_ROLES: Final[tuple[Role, ...]] = (
    "license",
    "domain",
    "metering",
    "secure_stop",
    "secure_delete",
    "packaging",
)
DATABASE_FILE: Final = "rightsmanager.db"

RENAMED: Final = {
    "admin.token": "api.token",
    "admin.token_file": "api.token_file",
    "seam.seconds": "hooks.timeout_seconds",
    "seam": "hooks",
    "server.timeout": "server.timeout_seconds",
    "server.keepalive": "server.keepalive_seconds",
    "server.cors_max_age": "server.cors_max_age_seconds",
    "policy.valid_for": "policy.valid_for_seconds",
    "packaging.key_period": "packaging.key_period_seconds",
    "metering.keep_reports": "metering.keep_reports_days",
    "domain.limit": "domain.max_members",
    "streams.per_account": "streams.max_per_account",
    "streams.per_device": "streams.max_per_device",
    "streams.lifetime": "streams.lifetime_seconds",
}
"""The old names of settings and sections, which still work in version 0.1 with a warning."""
REMOVED: Final = {"admin.path": "the API is at /api/v1"}
"""Settings that had their last version, and the reason; in version 0.1 they cause a warning."""

_ADDRESS: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_MAX_PORT: Final = 0xFFFF
_SECURITY_LEVELS: Final = {150, 2000, 3000}
_MIN_SEED: Final = 30
"""Bytes of a key seed."""
_API_TOKEN: Final = re.compile(r"[!-~]{16,256}")
_TOKEN: Final = re.compile(r"[!-~]{1,256}")


def _refuse_address(bind: str) -> str:
    # gunicorn would answer an invalid one with a traceback.
    match = _ADDRESS.fullmatch(bind)
    if match is None or int(match[1]) > _MAX_PORT:
        raise ValueError("expected HOST:PORT, the port from 0 to 65535")
    return bind


def _refuse_origin(origin: str) -> str:
    # A browser spells its origin in one way; no request would match another spelling.
    if origin not in {"*", "null"} and not _ORIGIN.fullmatch(origin):
        raise ValueError(
            f"{origin!r} is not an origin, expected *, null or scheme://host[:port] in lower case, "
            "without a path"
        )
    return origin


def _refuse_url(url: str) -> str:
    parts = urlsplit(url)
    if url and not (parts.scheme in {"http", "https"} and parts.hostname and url.isprintable()):
        raise ValueError("expected a URL such as https://example.com/x.asmx, or nothing")
    return url


def _refuse_level(level: int) -> int:
    if level not in _SECURITY_LEVELS:
        raise ValueError("expected 150, 2000 or 3000")
    return level


def _refuse_seed(seed: str) -> str:
    try:
        length = len(base64.b64decode(seed, validate=True))
    except ValueError:
        length = -1
    if seed and length < _MIN_SEED:
        raise ValueError(f"expected base64 of at least {_MIN_SEED} bytes, or nothing")
    return seed


def _refuse_guid(guid: str) -> str:
    try:
        Guid.parse(guid)
    except InvalidMessage:
        raise ValueError("expected a GUID, or its 16 bytes in base64") from None
    return guid


def _refuse_account(account: str) -> str:
    return account and _refuse_guid(account)


def _split_list(value: object) -> object:
    """Return the items of a list that an environment variable gives as text."""
    if not isinstance(value, str):
        return value
    if not value.startswith("["):
        return [item.strip() for item in value.split(",") if item.strip()]
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError('expected a list such as one,two or the JSON ["one", "two"]') from None


def _parse_object(value: object) -> object:
    """Return the object that an environment variable gives as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError('expected a JSON object such as {"name": "value"}') from None


Address = Annotated[str, AfterValidator(_refuse_address)]
Price = Annotated[Decimal, Field(ge=0)]
Origin = Annotated[str, AfterValidator(_refuse_origin)]
Url = Annotated[str, AfterValidator(_refuse_url)]
SecurityLevel = Annotated[int, AfterValidator(_refuse_level)]
Seed = Annotated[str, AfterValidator(_refuse_seed)]
GuidText = Annotated[str, AfterValidator(_refuse_guid)]
AccountText = Annotated[str, AfterValidator(_refuse_account)]
Level = Annotated[int, Field(ge=0, le=0xFFFF)]
Names = Annotated[tuple[str, ...], BeforeValidator(_split_list)]
Texts = Annotated[dict[str, str], BeforeValidator(_parse_object)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(_Section):
    """The listener and the roles."""

    bind: Address = "127.0.0.1:8080"
    workers: Annotated[int, Field(ge=1)] = 1
    threads: Annotated[int, Field(ge=1)] = 4
    worker: Literal["buffered", "gthread"] = "buffered"
    pin_workers: bool = True
    timeout_seconds: Annotated[int, Field(ge=1)] = 30
    keepalive_seconds: Annotated[int, Field(ge=0)] = 15
    request_seconds: Annotated[int, Field(ge=1)] = 10
    min_bytes_per_second: Annotated[int, Field(ge=1)] = 1000
    max_headers: Annotated[int, Field(ge=1, le=32768)] = 100
    max_header_bytes: Annotated[int, Field(ge=256)] = 65536
    roles: Annotated[tuple[Role, ...], BeforeValidator(_split_list)] = ALL_ROLES
    public_url: Url = ""
    trust_forwarded: bool = False
    https: Literal["off", "self-signed"] = "off"
    https_names: Names = ()
    certfile: str = ""
    keyfile: str = ""
    cors_origins: Annotated[tuple[Origin, ...], BeforeValidator(_split_list)] = ("*",)
    cors_max_age_seconds: Annotated[int, Field(ge=0)] = 86400
    cors_credentials: bool = False
    max_body: Annotated[int, Field(ge=1024)] = 1024 * 1024

    @model_validator(mode="after")
    def _refuse_two_certificates(self) -> Self:
        if self.certfile and self.https != "off":
            raise ValueError("https and certfile are both set, expected one of them")
        if self.keyfile and not self.certfile:
            raise ValueError("keyfile is set without a certfile, expected both")
        return self


class KeyringSettings(_Section):
    """Files of keys and certificates in addition to the data folder's."""

    trust_anchors: Names = ()
    server_keys: Names = ()
    signing_key: str = ""
    signing_chain: str = ""


class LicenseSettings(_Section):
    """Issuing licences and signing replies."""

    key_seed: Seed = "XVBovsmzhP9gRIZxWfFta3VVRPzVEWmJsazEJ46I"
    sign: Literal["always", "persistent"] = "always"
    acknowledge: Literal["never", "persistent"] = "never"
    unknown_parameters: Literal["warn", "refuse"] = "warn"
    above_level: Literal["drop", "refuse", "issue"] = "drop"
    removal_date_conflicts: Literal["refuse", "warn"] = "refuse"
    other_kids: Literal["drop", "issue"] = "drop"
    aes_cbc: Literal["declared", "any"] = "declared"
    swapped_kid: Literal["refuse", "serve", "warn"] = "refuse"
    replay: Literal["answer-alike", "refuse"] = "answer-alike"
    replay_window_seconds: Annotated[int, Field(ge=1, le=0x7FFFFFFF)] = 86400
    max_kids: Annotated[int, Field(ge=1, le=0x7FFFFFFF)] = 1000
    max_clock_difference_seconds: Annotated[int, Field(ge=0, le=0x7FFFFFFF)] = 0


class PolicySettings(_Section):
    """The policy of a licence whose request names no parameter."""

    security_level: SecurityLevel = 150
    persistent: bool = False
    play: bool = True
    valid_for_seconds: Annotated[int, Field(ge=0, le=0xFFFFFFFF)] = 0
    compressed_digital_video: Level = 0
    uncompressed_digital_video: Level = 0
    analog_video: Level = 0
    compressed_digital_audio: Level = 0
    uncompressed_digital_audio: Level = 0


class TrackSettings(_Section):
    """The policy of keys for one kind of streams; None for that of all licences."""

    security_level: SecurityLevel | None = None
    persistent: bool | None = None
    play: bool | None = None
    valid_for_seconds: Annotated[int, Field(ge=0, le=0xFFFFFFFF)] | None = None
    compressed_digital_video: Level | None = None
    uncompressed_digital_video: Level | None = None
    analog_video: Level | None = None
    compressed_digital_audio: Level | None = None
    uncompressed_digital_audio: Level | None = None


KNOWN_TRACKS: Final[Mapping[str, Mapping[str, object]]] = {
    "hd": {"security_level": 2000, "uncompressed_digital_video": 270},
    "uhd": {"security_level": 3000, "uncompressed_digital_video": 300},
}
"""The defaults of tracks."""


def _with_known_tracks(value: object) -> object:
    """Return the given tracks, with the defaults of what they do not give."""
    given = _parse_object(value)
    if not isinstance(given, Mapping):
        return given
    known = {name: each for name, each in given.items() if not isinstance(each, Mapping)}
    for name in [*KNOWN_TRACKS, *given]:
        if name not in known:
            known[name] = {**KNOWN_TRACKS.get(name, {}), **given.get(name, {})}
    return known


def _refuse_track(name: str) -> str:
    if find_track(name) != name:
        raise ValueError("expected a name of lower-case letters, digits and _.+-")
    return name


Tracks = Annotated[
    dict[Annotated[str, AfterValidator(_refuse_track)], TrackSettings],
    BeforeValidator(_with_known_tracks),
    Field(validate_default=True),
]


class PackagingSettings(_Section):
    """Access to keys for packagers, and their form."""

    access: Literal["off", "loopback", "token", "query", "certificate", "open"] = "loopback"
    token: SecretStr = SecretStr("")
    client_ca: str = ""
    certificate_header: str = ""
    replace_kid: bool = False
    signed_requests: bool = False
    signing_file: str = ""
    recipient_file: str = ""
    key_period_seconds: Annotated[int, Field(ge=0, le=0x7FFFFFFF)] = 0
    header_version: Literal["4.0.0.0", "4.1.0.0", "4.2.0.0", "4.3.0.0"] = "4.0.0.0"
    algid: Literal["AESCTR", "AESCBC"] = "AESCTR"
    checksum: bool = True

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        token = self.token.get_secret_value()
        if (self.access == "certificate" or self.signed_requests) and not self.client_ca:
            raise ValueError("client_ca: expected a file of certificates")
        if self.access in {"token", "query"} and not _TOKEN.fullmatch(token):
            raise ValueError("token: expected 1 to 256 visible ASCII characters")
        if self.algid == "AESCBC" and self.header_version != "4.3.0.0":
            raise ValueError('header_version: expected "4.3.0.0", the only one with AESCBC')
        return self


class MeteringSettings(_Section):
    """Metering reports, their retention and prices."""

    url: Url = ""
    max_records: Annotated[int, Field(ge=1)] = 10_000
    max_body: Annotated[int, Field(ge=1024)] = 8 * 1024 * 1024
    keep_reports_days: Annotated[int, Field(ge=0)] = 90
    price_per_play: Price = Decimal("0.01")
    price_per_title: Price = Decimal("0.08")
    currency: str = "USD"


class DomainSettings(_Section):
    """Accounts and the defaults of their domains."""

    accounts: Literal["first-use", "operator"] = "first-use"
    max_members: Annotated[int, Field(ge=0, le=0x7FFFFFFF)] = 5
    service_id: GuidText = "0345be98-f987-40e5-a4dd-0aa21a7f6897"
    default_account: AccountText = "84b94dcb-9b16-468e-8ca4-a189ad253f6a"
    friendly_name: str = "Test domain"
    url: Url = ""
    help_url: Url = ""


class SecureStopSettings(_Section):
    """Reports of stopped playback."""

    max_sessions: Annotated[int, Field(ge=1)] = 1000


class SecureDeleteSettings(_Section):
    """Reports of deleted licences."""

    max_kids: Annotated[int, Field(ge=1)] = 1000


class StreamsSettings(_Section):
    """Limits on licences with secure stop that are in use at once."""

    max_per_account: Annotated[int, Field(ge=0)] = 0
    max_per_device: Annotated[int, Field(ge=0)] = 0
    lifetime_seconds: Annotated[int, Field(ge=1, le=0xFFFFFFFF)] = 12 * 60 * 60


class ApiSettings(_Section):
    """Access to the management API and to the console."""

    access: Literal["auto", "token", "off"] = "auto"
    token: SecretStr = SecretStr("")
    token_file: str = ""

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        token = self.token.get_secret_value()
        if token and self.token_file:
            raise ValueError("token and token_file are both set, expected one of them")
        if token:
            refuse_api_token(token)
        return self


def refuse_api_token(token: str) -> None:
    """Raise ValueError for a token that is easy to guess or that no header can hold."""
    if not _API_TOKEN.fullmatch(token):
        raise ValueError("token: expected 16 to 256 visible ASCII characters")


class MetricsSettings(_Section):
    """Counts of requests for Prometheus."""

    access: Literal["auto", "open", "token", "off"] = "auto"


class HealthSettings(_Section):
    """The checks of readiness."""

    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 3.0
    min_free_bytes: Annotated[int, Field(ge=0)] = 64 * 1024 * 1024


class TracingSettings(_Section):
    """Spans for OpenTelemetry."""

    enabled: bool = False


class HooksSettings(_Section):
    """The operator's own logic."""

    make: str = ""
    timeout_seconds: Annotated[float, Field(gt=0)] = 5.0
    options: Texts = {}


class CryptoSettings(_Section):
    """The implementation of P-256 and the cache of certificates."""

    backend: Literal["auto", "libcrypto", "portable"] = "auto"
    chain_cache: Annotated[int, Field(ge=1)] = 1024


class JournalSettings(_Section):
    """The journal of requests, and its limits; 0 for no limit."""

    record: Literal["auto", "off", "faults", "all"] = "auto"
    bodies: bool = True
    max_body: Annotated[int, Field(ge=1024)] = 256 * 1024
    max_entries: Annotated[int, Field(ge=0)] = 100_000
    max_bytes: Annotated[int, Field(ge=0)] = 512 * 1024 * 1024
    max_age_days: Annotated[int, Field(ge=0)] = 14
    max_queue: Annotated[int, Field(ge=1)] = 10_000


class LogSettings(_Section):
    """The level and the format of the log."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(_Section):
    """Every setting of a server."""

    data: Path = Path("var")
    database_url: str = ""
    database_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    server: ServerSettings = ServerSettings()
    keyring: KeyringSettings = KeyringSettings()
    license: LicenseSettings = LicenseSettings()
    policy: PolicySettings = PolicySettings()
    tracks: Tracks = {}
    packaging: PackagingSettings = PackagingSettings()
    metering: MeteringSettings = MeteringSettings()
    domain: DomainSettings = DomainSettings()
    secure_stop: SecureStopSettings = SecureStopSettings()
    secure_delete: SecureDeleteSettings = SecureDeleteSettings()
    streams: StreamsSettings = StreamsSettings()
    api: ApiSettings = ApiSettings()
    metrics: MetricsSettings = MetricsSettings()
    health: HealthSettings = HealthSettings()
    tracing: TracingSettings = TracingSettings()
    hooks: HooksSettings = HooksSettings()
    crypto: CryptoSettings = CryptoSettings()
    journal: JournalSettings = JournalSettings()
    log: LogSettings = LogSettings()

    @property
    def effective_database_url(self) -> str:
        """The database's URL: the setting, else SQLite in the data folder."""
        return self.database_url or f"sqlite:///{(self.data / DATABASE_FILE).absolute()}"

    @property
    def effective_metering_url(self) -> str:
        """The address for reports in new metering certificates; empty if no setting names it."""
        return self.metering.url or self.server.public_url


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, the origins of their values, and the warnings about old names."""

    settings: Settings
    origins: Mapping[str, str]
    """The variable or the file of each setting that is not at its default."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SettingInForce:
    """One setting as it is in force."""

    name: str
    value: object
    """As in JSON; tokens are masked."""
    origin: str | None
    """The variable, option or file that it comes from; None for a default."""
    is_secret: bool
    """Whether pages hide the value."""


def settings_in_force(settings: Settings, origins: Mapping[str, str]) -> tuple[SettingInForce, ...]:
    """Return every setting, those without a section first."""
    return tuple(
        SettingInForce(name, value, origins.get(name), bool(value) and _is_secret(name))
        for name, value in _named_values(settings)
    )


def _named_values(settings: Settings) -> Iterator[tuple[str, object]]:
    tree = settings.model_dump(mode="json", exclude_none=True)
    for name, value in tree.items():
        if not isinstance(value, dict):
            yield name, value
    for section, values in tree.items():
        if isinstance(values, dict):
            # A table within a section ends it, so that it comes last.
            plain = {name: each for name, each in values.items() if not isinstance(each, dict)}
            yield from ((f"{section}.{name}", each) for name, each in plain.items())
            for name in (name for name in values if name not in plain):
                yield from ((f"{section}.{name}.{key}", each) for key, each in values[name].items())


def _is_secret(name: str) -> bool:
    # A URL of a database may have a password, and an option of a hook may be one.
    secrets = {"database_url", "license.key_seed", "admin.token", "packaging.token"}
    return name in secrets or name.startswith("hooks.options.")


def load(file: Path | None, **overrides: Any) -> Settings:  # noqa: ANN401 -- any field of Settings
    """Return the settings from overrides, the environment and a file, in that order.

    Raises InternalError, which names the setting, its origin and what was expected.
    """
    return load_with_origins(file, **overrides).settings


def load_with_origins(
    file: Path | None,
    **overrides: Any,  # noqa: ANN401 -- as above
) -> Loaded:
    """Return the settings like `load`, with the origins of the values; raises InternalError."""
    sources: list[Iterable[Given]] = [read_variables(), read_options(overrides)]
    if file is not None:
        sources.insert(0, read_toml(file))
    given: list[Given] = []
    warnings: list[str] = []
    for source in sources:
        for each, old in rename(source, RENAMED):
            if each.name in REMOVED:
                warnings.append(
                    f"{each.origin}: the setting {old or each.name} is gone: {REMOVED[each.name]}"
                )
                continue
            given.append(each)
            if old is not None:
                warnings.append(f"{each.origin}: the setting {old} is now called {each.name}")
    origins = {each.name: each.origin for each in given}
    try:
        settings = Settings.model_validate(merge(given))
    except ValidationError as error:
        raise InternalError(_explain(error, origins)) from None
    return Loaded(settings, origins, tuple(warnings))


def default_settings() -> Settings:
    """Return the settings in force when no data folder is named."""
    return load_default().settings


def load_default() -> Loaded:
    """Return the settings in force when no data folder is named, with origins and warnings."""
    return load_with_origins(find_file(find_data() or Settings().data))


def _explain(error: ValidationError, origins: Mapping[str, str]) -> str:
    """Return the problems in one line, without the values: they may be secret."""
    problems = error.errors(include_url=False, include_input=False)
    return "settings: " + "; ".join(
        _problem(tuple(map(str, each["loc"])), each["type"], each["msg"], origins)
        for each in problems
    )


def _problem(loc: tuple[str, ...], kind: str, message: str, origins: Mapping[str, str]) -> str:
    name = ".".join(loc)
    origin = next(
        (origins[known] for known in _prefixes(loc) if known in origins),
        next((origins[known] for known in origins if known.startswith(f"{name}.")), None),
    )
    where = name if origin in {None, "option"} else f"{name} ({origin})"
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(name, _names(), n=1)
        return f"{where} is not a setting" + (f", did you mean {near[0]}?" if near else "")
    return f"{where}: {message.removeprefix('Value error, ')}"


def _prefixes(loc: tuple[str, ...]) -> list[str]:
    return [".".join(loc[:length]) for length in range(len(loc), 0, -1)]


def _names() -> list[str]:
    names = []
    for name, value in Settings():
        names.append(name)
        if isinstance(value, _Section):
            names += [f"{name}.{each}" for each in type(value).model_fields]
    return names
