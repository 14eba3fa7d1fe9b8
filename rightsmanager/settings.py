"""One frozen value with every setting; `config/rightsmanager.toml` is its reference.

`settings_loading` reads them from options, environment and file; `setting_types` has their types.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

from rightsmanager.protocol.wire import find_track
from rightsmanager.setting_types import (
    AccountText,
    Address,
    BaseUrl,
    GuidText,
    Level,
    Names,
    Origin,
    Price,
    SecurityLevel,
    Seed,
    Texts,
    Url,
    parse_object,
    split_list,
)

Role = Literal["license", "domain", "metering", "secure_stop", "secure_delete", "packaging"]
AskedOperation = Literal[
    "AcquireLicense",
    "AcknowledgeLicense",
    "JoinDomain",
    "LeaveDomain",
    "GetMeteringCertificate",
    "ProcessMeteringData",
    "ProcessSecureStopData",
    "ProcessDeleteLicenseData",
    "AcquirePackagingData",
    "KeyEndpoint",
]
ALL_ROLES: Final[tuple[Role, ...]] = (
    "license",
    "domain",
    "metering",
    "secure_stop",
    "secure_delete",
    "packaging",
)
DATABASE_FILE: Final = "rightsmanager.db"

_API_TOKEN: Final = re.compile(r"[!-~]{16,256}")
_TOKEN: Final = re.compile(r"[!-~]{1,256}")


class Section(BaseModel):
    """Frozen settings with a common prefix; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(Section):
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
    roles: Annotated[tuple[Role, ...], BeforeValidator(split_list)] = ALL_ROLES
    public_url: Url = ""
    trust_forwarded: bool = False
    https: Literal["off", "self-signed"] = "off"
    https_names: Names = ()
    certfile: str = ""
    keyfile: str = ""
    cors_origins: Annotated[tuple[Origin, ...], BeforeValidator(split_list)] = ("*",)
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


class KeyringSettings(Section):
    """Files of keys and certificates in addition to the data folder's."""

    trust_anchors: Names = ()
    server_keys: Names = ()
    signing_key: str = ""
    signing_chain: str = ""


class LicenseSettings(Section):
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


class PolicySettings(Section):
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


class TrackSettings(Section):
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
    given = parse_object(value)
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


class PackagingSettings(Section):
    """Access to keys for packagers, and their form."""

    access: Literal["off", "loopback", "token", "query", "certificate", "open"] = "loopback"
    token: SecretStr = SecretStr("")
    hosts: Names = ()
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


class MeteringSettings(Section):
    """Metering reports, their retention and prices."""

    url: Url = ""
    max_records: Annotated[int, Field(ge=1)] = 10_000
    max_body: Annotated[int, Field(ge=1024)] = 8 * 1024 * 1024
    keep_reports_days: Annotated[int, Field(ge=0)] = 90
    price_per_play: Price = Decimal("0.01")
    price_per_title: Price = Decimal("0.08")
    currency: str = "USD"


class DomainSettings(Section):
    """Accounts and the defaults of their domains."""

    accounts: Literal["first-use", "operator"] = "first-use"
    max_members: Annotated[int, Field(ge=0, le=0x7FFFFFFF)] = 5
    revision_days: Annotated[int, Field(ge=0, le=36500)] = 0
    service_id: GuidText = "0345be98-f987-40e5-a4dd-0aa21a7f6897"
    default_account: AccountText = "84b94dcb-9b16-468e-8ca4-a189ad253f6a"
    friendly_name: str = "Test domain"
    url: Url = ""
    help_url: Url = ""


class SecureStopSettings(Section):
    """Reports of stopped playback."""

    max_sessions: Annotated[int, Field(ge=1)] = 1000


class SecureDeleteSettings(Section):
    """Reports of deleted licences."""

    max_kids: Annotated[int, Field(ge=1)] = 1000


class StreamsSettings(Section):
    """Limits on licences with secure stop that are in use at once."""

    max_per_account: Annotated[int, Field(ge=0)] = 0
    max_per_device: Annotated[int, Field(ge=0)] = 0
    lifetime_seconds: Annotated[int, Field(ge=1, le=0xFFFFFFFF)] = 12 * 60 * 60


class ApiSettings(Section):
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


class MetricsSettings(Section):
    """Counts of requests for Prometheus."""

    access: Literal["auto", "open", "token", "off"] = "auto"


class HealthSettings(Section):
    """The checks of readiness."""

    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 3.0
    min_free_bytes: Annotated[int, Field(ge=0)] = 64 * 1024 * 1024


class TracingSettings(Section):
    """Spans for OpenTelemetry."""

    enabled: bool = False


class HooksSettings(Section):
    """The operator's own logic."""

    make: str = ""
    timeout_seconds: Annotated[float, Field(gt=0)] = 5.0
    url: BaseUrl = ""
    secret_file: str = ""
    connect_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 1.0
    answer_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 3.0
    max_failures: Annotated[int, Field(ge=1)] = 5
    retry_seconds: Annotated[float, Field(gt=0)] = 5.0
    operations: Annotated[tuple[AskedOperation, ...], BeforeValidator(split_list)] = ()
    send_events: bool = False
    options: Texts = {}

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        if self.url and self.answer_timeout_seconds > self.timeout_seconds:
            raise ValueError("answer_timeout_seconds: expected at most timeout_seconds")
        return self


class CryptoSettings(Section):
    """The implementation of P-256 and the cache of certificates."""

    backend: Literal["auto", "libcrypto", "portable"] = "auto"
    chain_cache: Annotated[int, Field(ge=1)] = 1024


class JournalSettings(Section):
    """The journal of requests, and its limits; 0 for no limit."""

    record: Literal["auto", "off", "faults", "all"] = "auto"
    bodies: bool = True
    max_body: Annotated[int, Field(ge=1024)] = 256 * 1024
    max_entries: Annotated[int, Field(ge=0)] = 100_000
    max_bytes: Annotated[int, Field(ge=0)] = 512 * 1024 * 1024
    max_age_days: Annotated[int, Field(ge=0)] = 14
    max_queue: Annotated[int, Field(ge=1)] = 10_000


class LabSettings(Section):
    """Worlds, which are servers of their own for tests."""

    enabled: bool = False
    max_worlds: Annotated[int, Field(ge=1)] = 10_000
    max_open: Annotated[int, Field(ge=1)] = 64
    idle_seconds: Annotated[float, Field(gt=0)] = 60.0
    expires_after_seconds: Annotated[int, Field(ge=1, le=366 * 86400)] = 3600


class LogSettings(Section):
    """The level and the format of the log."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Section):
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
    lab: LabSettings = LabSettings()
    log: LogSettings = LogSettings()

    @property
    def effective_database_url(self) -> str:
        """The database's URL: the setting, else SQLite in the data folder."""
        return self.database_url or f"sqlite:///{(self.data / DATABASE_FILE).absolute()}"

    @property
    def effective_metering_url(self) -> str:
        """The address for reports in new metering certificates; empty if no setting names it."""
        return self.metering.url or self.server.public_url
