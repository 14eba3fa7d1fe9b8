"""One frozen value with every setting; `config/rightsmanager.toml` is its reference.

A setting comes from the environment (`RIGHTSMANAGER_` and the name, a section's name joined by two
underscores, such as `RIGHTSMANAGER_SERVER__WORKERS`), else from the file, else from its default.
"""

import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from rightsmanager.errors import InternalError

Role = Literal["license", "domain", "metering", "secure_stop", "secure_delete", "packaging"]
ALL_ROLES: Final[tuple[Role, ...]] = (
    "license",
    "domain",
    "metering",
    "secure_stop",
    "secure_delete",
    "packaging",
)
PREFIX: Final = "RIGHTSMANAGER_"
REFERENCE: Final = Path("config/rightsmanager.toml")
FILE_VARIABLE: Final = "RIGHTSMANAGER_CONFIG"
PASSPHRASE_VARIABLE: Final = "RIGHTSMANAGER_PASSPHRASE"  # noqa: S105 -- a name
DATA_FILE: Final = "rightsmanager.toml"
DATABASE_FILE: Final = "rightsmanager.db"

_ADDRESS: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_LAST_PORT: Final = 0xFFFF
_ADMIN_TOKEN: Final = re.compile(r"[!-~]{16,256}")
_TOKEN: Final = re.compile(r"[!-~]{1,256}")


def _refuse_address(bind: str) -> str:
    """Return an address to listen on; gunicorn would answer a wrong one with a traceback."""
    match = _ADDRESS.fullmatch(bind)
    if match is None or int(match[1]) > _LAST_PORT:
        raise ValueError("expected HOST:PORT, the port from 0 to 65535")
    return bind


def _refuse_origin(origin: str) -> str:
    """Return what a browser may call itself; any other spelling would never be met."""
    if origin not in {"*", "null"} and not _ORIGIN.fullmatch(origin):
        raise ValueError(
            f"{origin!r} is no origin, expected *, null or scheme://host[:port] in small letters, "
            "without a path"
        )
    return origin


Address = Annotated[str, AfterValidator(_refuse_address)]
Price = Annotated[Decimal, Field(ge=0)]
Origin = Annotated[str, AfterValidator(_refuse_origin)]
Level = Annotated[int, Field(ge=0, le=0xFFFF)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(_Section):
    """How the server listens and what it serves."""

    bind: Address = "127.0.0.1:8080"
    workers: Annotated[int, Field(ge=1)] = 1
    threads: Annotated[int, Field(ge=1)] = 4
    pin_workers: bool = True
    timeout: Annotated[int, Field(ge=1)] = 30
    keepalive: Annotated[int, Field(ge=0)] = 15
    roles: tuple[Role, ...] = ALL_ROLES
    public_url: str = ""
    trust_forwarded: bool = False
    https: Literal["off", "self-signed"] = "off"
    https_names: tuple[str, ...] = ()
    certfile: str = ""
    keyfile: str = ""
    cors_origins: tuple[Origin, ...] = ("*",)
    cors_max_age: Annotated[int, Field(ge=0)] = 86400
    cors_credentials: bool = False
    max_body: Annotated[int, Field(ge=1024)] = 1024 * 1024

    @model_validator(mode="after")
    def _refuse_two_certificates(self) -> Self:
        if self.certfile and self.https != "off":
            raise ValueError("https is self-signed and there is a certfile, expected one of them")
        if self.keyfile and not self.certfile:
            raise ValueError("there is a keyfile, expected a certfile for it")
        return self


class KeyringSettings(_Section):
    """Keys and certificates other than the ones the data folder holds."""

    trust_anchors: tuple[str, ...] = ()
    server_keys: tuple[str, ...] = ()
    signing_key: str = ""
    signing_chain: str = ""


class LicenseSettings(_Section):
    """How licences are issued and replies signed."""

    key_seed: str = "XVBovsmzhP9gRIZxWfFta3VVRPzVEWmJsazEJ46I"
    sign: Literal["always", "persistent"] = "always"
    acknowledge: Literal["never", "persistent"] = "never"


class PolicySettings(_Section):
    """What a licence grants when the request asks for nothing else."""

    security_level: Level = 150
    persistent: bool = False
    play: bool = True
    valid_for: Annotated[int, Field(ge=0, le=0xFFFFFFFF)] = 0
    compressed_digital_video: Level = 0
    uncompressed_digital_video: Level = 0
    analog_video: Level = 0
    compressed_digital_audio: Level = 0
    uncompressed_digital_audio: Level = 0


class PackagingSettings(_Section):
    """Who gets keys by AcquirePackagingData, and what kind."""

    access: Literal["off", "loopback", "token", "open"] = "loopback"
    token: SecretStr = SecretStr("")
    key_period: Annotated[int, Field(ge=0, le=0x7FFFFFFF)] = 0
    header_version: Literal["4.0.0.0", "4.1.0.0", "4.2.0.0", "4.3.0.0"] = "4.0.0.0"
    algid: Literal["AESCTR", "AESCBC"] = "AESCTR"
    checksum: bool = True

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        token = self.token.get_secret_value()
        if self.access == "token" and not _TOKEN.fullmatch(token):
            raise ValueError("token: expected 1 to 256 visible ASCII characters")
        if self.algid == "AESCBC" and self.header_version != "4.3.0.0":
            raise ValueError('header_version: expected "4.3.0.0", which alone can say AESCBC')
        return self


class MeteringSettings(_Section):
    """How reports of what was played are taken and kept."""

    url: str = ""
    max_records: Annotated[int, Field(ge=1)] = 10_000
    max_body: Annotated[int, Field(ge=1024)] = 8 * 1024 * 1024
    keep_reports: Annotated[int, Field(ge=0)] = 90
    price_per_play: Price = Decimal("0.01")
    price_per_title: Price = Decimal("0.08")
    currency: str = "USD"


class DomainSettings(_Section):
    """How domains come to be, and what is said of them."""

    accounts: Literal["first-use", "operator"] = "first-use"
    limit: Annotated[int, Field(ge=0, le=0x7FFFFFFF)] = 5
    service_id: str = "0345be98-f987-40e5-a4dd-0aa21a7f6897"
    default_account: str = "84b94dcb-9b16-468e-8ca4-a189ad253f6a"
    friendly_name: str = "Test domain"
    url: str = ""
    help_url: str = ""


class SecureStopSettings(_Section):
    """How reports of stopped playback are taken."""

    max_sessions: Annotated[int, Field(ge=1)] = 1000


class SecureDeleteSettings(_Section):
    """How reports of deleted licences are taken."""

    max_kids: Annotated[int, Field(ge=1)] = 1000


class StreamsSettings(_Section):
    """How many licences with secure stop may be in use at once."""

    per_account: Annotated[int, Field(ge=0)] = 0
    per_device: Annotated[int, Field(ge=0)] = 0
    lifetime: Annotated[int, Field(ge=1, le=0xFFFFFFFF)] = 12 * 60 * 60


class AdminSettings(_Section):
    """The admin API, which is there where it has a token."""

    token: SecretStr = SecretStr("")
    token_file: str = ""
    path: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_-]+)+$")] = "/admin"

    @property
    def is_on(self) -> bool:
        """Whether there is an admin API."""
        return bool(self.token_file or self.token.get_secret_value())

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        token = self.token.get_secret_value()
        if token and self.token_file:
            raise ValueError("token and token_file are both set, expected one of them")
        if token:
            refuse_admin_token(token)
        return self


def refuse_admin_token(token: str) -> None:
    """Refuse a token that is easy to guess or that no header can hold; raises ValueError."""
    if not _ADMIN_TOKEN.fullmatch(token):
        raise ValueError("token: expected 16 to 256 visible ASCII characters")


class HooksSettings(_Section):
    """The operator's own logic."""

    make: str = ""
    seconds: Annotated[float, Field(gt=0)] = 5.0
    options: dict[str, str] = {}


class CryptoSettings(_Section):
    """Which implementation does the arithmetic."""

    backend: Literal["auto", "libcrypto", "portable"] = "auto"
    chain_cache: Annotated[int, Field(ge=1)] = 1024


class LogSettings(_Section):
    """What is logged and how."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(BaseSettings):
    """Every setting of a server."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
    )

    data: Path = Path("var")
    database_url: str = ""
    database_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    server: ServerSettings = ServerSettings()
    keyring: KeyringSettings = KeyringSettings()
    license: LicenseSettings = LicenseSettings()
    policy: PolicySettings = PolicySettings()
    packaging: PackagingSettings = PackagingSettings()
    metering: MeteringSettings = MeteringSettings()
    domain: DomainSettings = DomainSettings()
    secure_stop: SecureStopSettings = SecureStopSettings()
    secure_delete: SecureDeleteSettings = SecureDeleteSettings()
    streams: StreamsSettings = StreamsSettings()
    admin: AdminSettings = AdminSettings()
    hooks: HooksSettings = HooksSettings()
    crypto: CryptoSettings = CryptoSettings()
    log: LogSettings = LogSettings()

    @property
    def effective_database_url(self) -> str:
        """The database's URL: the one that is set, else SQLite in the data folder."""
        return self.database_url or f"sqlite:///{(self.data / DATABASE_FILE).absolute()}"

    @property
    def effective_metering_url(self) -> str:
        """Where new metering certificates say that reports are taken; empty: nobody says where."""
        return self.metering.url or self.server.public_url


def load(file: Path | None, **overrides: Any) -> Settings:  # noqa: ANN401 -- any field of Settings
    """Return the settings from overrides, the environment and a file, in that order.

    Raises InternalError, which names the setting and what was expected of it.
    """

    class FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del dotenv_settings, file_secret_settings
            if file is None:
                return init_settings, env_settings
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)

    _refuse_unknown_variables()
    if file is not None and not file.is_file():
        raise InternalError(f"the settings file {file} does not exist")
    try:
        return FromFile(**overrides)
    except ValidationError as error:
        raise InternalError(_explain(error)) from None
    except ValueError as error:
        raise InternalError(f"the settings cannot be read: {error}") from None


def default_settings() -> Settings:
    """Return the settings in force where nobody named a data folder."""
    data = Path(os.environ.get(f"{PREFIX}DATA", Settings.model_fields["data"].default))
    return load(find_file(data))


def find_file(data: Path) -> Path | None:
    """Return the settings file that is in force, or None.

    That is the one the environment names, else the data folder's, else the reference where the
    server is started in a checkout.
    """
    named = os.environ.get(FILE_VARIABLE)
    if named:
        return Path(named)
    return next((file for file in (data / DATA_FILE, REFERENCE) if file.is_file()), None)


def passphrase() -> bytes | None:
    """Return what the environment says private keys are encrypted under, or None."""
    value = os.environ.get(PASSPHRASE_VARIABLE)
    return value.encode() if value else None


def _refuse_unknown_variables() -> None:
    known = {FILE_VARIABLE, PASSPHRASE_VARIABLE}
    for name in Settings.model_fields:
        known.add(f"{PREFIX}{name}".upper())
    for variable in os.environ:
        if variable.startswith(PREFIX) and variable.partition("__")[0] not in known:
            raise InternalError(
                f"settings: the environment variable {variable} names no setting, "
                f"expected one of {', '.join(sorted(known))} or of a section"
            )


def _explain(error: ValidationError) -> str:
    problems = (
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False)
    )
    return "settings: " + "; ".join(problems)
