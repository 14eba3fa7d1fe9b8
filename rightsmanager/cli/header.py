"""`rightsmanager header`: content headers for given KIDs, in each of their forms."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from rightsmanager.assembly import content_keys, open_keyring
from rightsmanager.cli.options import (
    GuidParameter,
    VersionParameter,
    data_option,
    has_store,
    json_option,
    settings_of,
    store_of,
)
from rightsmanager.cli.show import show
from rightsmanager.crypto.keyseed import content_key
from rightsmanager.environment import passphrase
from rightsmanager.errors import InternalError, InvalidMessage, ServiceSpecific
from rightsmanager.operations.content import FoundKey
from rightsmanager.protocol.formats.keylists import parse_content_key
from rightsmanager.protocol.formats.pssh import Pssh, build_object, build_pssh, object_of
from rightsmanager.protocol.formats.wrmheader import (
    Algid,
    Header,
    HeaderKid,
    Version,
    canonical_header,
    checksum,
    parse_custom_attributes,
    parse_header,
)
from rightsmanager.protocol.formats.xmr.objects import KeyType
from rightsmanager.protocol.wire import Kid, ServiceId, decode_base64, encode_base64
from rightsmanager.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

NO_ALGID: Final = "none"
_ALGIDS: Final = {KeyType.AES_CTR: Algid.AESCTR, KeyType.AES_CBC: Algid.AESCBC}
_WITH_CHECKSUM: Final = {Algid.AESCTR, Algid.COCKTAIL}


@dataclass(frozen=True, slots=True)
class GivenKey:
    """A KID of the command line, with its content key if that is given too."""

    kid: Kid
    key: bytes | None = field(default=None, repr=False)
    """16 bytes."""


class GivenKeyParameter(click.ParamType[GivenKey]):
    """KID or KID:KEY, each in any of its spellings."""

    name = "kid[:key]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> GivenKey:
        """Return the key; click shows what is wrong with it."""
        if isinstance(value, GivenKey):
            return value
        kid, _, key = str(value).partition(":")
        try:
            clear = parse_content_key(key, "the content key") if key else None
            return GivenKey(Kid.parse(kid), clear)
        except InvalidMessage as error:
            self.fail(error.text, param, ctx)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options say of a header."""

    version: Version | None
    algid: str | None
    has_checksum: bool
    la_url: str | None
    lui_url: str | None
    ds_id: ServiceId | None
    custom_attributes: str | None
    decryptor_setup: str | None
    license_requested: bool

    def header(self, kids: tuple[HeaderKid, ...]) -> Header:
        """Return the header of these KIDs; raises InvalidMessage where there is none like it."""
        attributes = self.custom_attributes
        header = Header(
            version=self._version(kids),
            kids=kids,
            la_url=self.la_url,
            lui_url=self.lui_url,
            ds_id=self.ds_id,
            custom_attributes=None if attributes is None else parse_custom_attributes(attributes),
            decryptor_setup=self.decryptor_setup,
            license_requested=self.license_requested,
        )
        if header.version < Version.V4_3 and not self.license_requested:
            raise InvalidMessage(
                f"WRMHEADER {header.version} cannot say that no licence is requested, expected "
                f"version {Version.V4_3}"
            )
        # What is written must be read again: a text may hold what XML cannot.
        return parse_header(canonical_header(header))

    @property
    def needs_keys(self) -> bool:
        """Whether the header tells anything of its keys."""
        return self.algid is None or (self.has_checksum and self.algid in _WITH_CHECKSUM)

    def algid_of(self, key: FoundKey) -> Algid | None:
        """Return what a key is said to be for."""
        if self.algid is not None:
            return None if self.algid == NO_ALGID else Algid(self.algid)
        return _ALGIDS[key.key_type] if key.key_type else Algid.AESCTR

    def _version(self, kids: tuple[HeaderKid, ...]) -> Version:
        """Return the version that is asked for, else the oldest that can say all this."""
        if self.version is not None:
            return self.version
        if not self.license_requested or {key.algid for key in kids} & {Algid.AESCBC, None}:
            return Version.V4_3
        return Version.V4_0 if len(kids) == 1 else Version.V4_2


def _header_options(command: Command) -> Command:
    """Add the options that are the fields of Wanted."""
    options = (
        click.option(
            "--version",
            type=VersionParameter(),
            help="Of the header.  [default: the oldest that can say what is asked]",
        ),
        click.option(
            "--algid",
            type=click.Choice([*Algid.__members__, NO_ALGID]),
            help="What content is encrypted with.  [default: what the stored key is for; AESCTR]",
        ),
        click.option(
            "--checksum/--no-checksum",
            "has_checksum",
            default=True,
            help="Whether the header has each key's checksum, if its ALGID has one.",
        ),
        click.option("--la-url", help="LA_URL: where licences are."),
        click.option("--lui-url", help="LUI_URL: where people get licences."),
        click.option("--ds-id", type=GuidParameter(ServiceId), help="DS_ID: a domain service."),
        click.option("--custom-attributes", help="XML to put into CUSTOMATTRIBUTES."),
        click.option("--decryptor-setup", help="DECRYPTORSETUP, such as ONDEMAND."),
        click.option(
            "--license-requested/--no-license-requested",
            default=True,
            help="LICENSEREQUESTED of version 4.3.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def header() -> None:
    """Make content headers and show them."""


header.add_command(show)


@header.command()
@data_option
@_header_options
@click.option(
    "--as",
    "form",
    type=click.Choice(["wrmheader", "object", "pssh"]),
    default="pssh",
    show_default=True,
)
@click.option(
    "--pssh-version", type=click.IntRange(0, 1), default=0, help="1: the box names the KIDs too."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write it as it is into this file.",
)
@json_option
@click.argument("keys", metavar="KID[:KEY]...", nargs=-1, required=True, type=GivenKeyParameter())
def make(  # noqa: PLR0913 -- one parameter for each option
    data: Path,
    *,
    form: str,
    pssh_version: int,
    output: Path | None,
    as_json: bool,
    keys: tuple[GivenKey, ...],
    **wanted: Any,  # noqa: ANN401 -- the fields of Wanted
) -> None:
    """Make the header of KIDs and print it: a WRMHEADER as text, anything else in base64.

    A checksum is made of the content KEY (32 hexadecimal digits or base64), else of the stored one,
    else of the one that the key seed gives.
    """
    asked = Wanted(**wanted)
    made = asked.header(_entries(asked, keys, settings_of(data)))
    forms = _forms(made, pssh_version)
    if output is not None:
        _write(output, forms[form])
    if as_json:
        click.echo(json.dumps(_facts(made, forms), indent=2))
    elif output is None:
        click.echo(_text(form, forms[form]))


def _entries(wanted: Wanted, keys: Sequence[GivenKey], settings: Settings) -> tuple[HeaderKid, ...]:
    missing = [given.kid for given in keys if given.key is None]
    found = _find_keys(settings, missing) if missing and wanted.needs_keys else {}
    return tuple(
        _entry(wanted, given.kid, found.get(given.kid) or FoundKey(given.key or b"", None))
        for given in keys
    )


def _entry(wanted: Wanted, kid: Kid, key: FoundKey) -> HeaderKid:
    algid = wanted.algid_of(key)
    digest = checksum(algid, key.key, kid) if wanted.has_checksum else None
    return HeaderKid(kid, algid, digest)


def _find_keys(settings: Settings, kids: Sequence[Kid]) -> Mapping[Kid, FoundKey]:
    """Return the stored key of each KID, else the seed's; without a database the seed's."""
    if has_store(settings):
        keys = content_keys(settings, open_keyring(settings, passphrase()))
        with store_of(settings).reading() as transaction:
            return {kid: keys.find(transaction, kid) for kid in kids}
    seed = decode_base64(settings.license.key_seed, "license.key_seed")
    if not seed:
        raise ServiceSpecific(f"KID {kids[0].text} has no content key: there is no key seed")
    return {kid: FoundKey(content_key(seed, kid.raw), None) for kid in kids}


def _forms(made: Header, pssh_version: int) -> dict[str, bytes]:
    playready_object = object_of(made)
    kids = tuple(entry.kid for entry in made.kids) if pssh_version else ()
    return {
        "wrmheader": canonical_header(made).encode(),
        "object": build_object(playready_object),
        "pssh": build_pssh(Pssh(playready_object, kids, pssh_version)),
    }


def _text(form: str, made: bytes) -> str:
    return made.decode() if form == "wrmheader" else encode_base64(made)


def _facts(made: Header, forms: Mapping[str, bytes]) -> dict[str, Any]:
    return {
        "version": made.version.value,
        "kids": [
            {
                "kid": entry.kid.text,
                "kid_base64": entry.kid.base64,
                "algid": None if entry.algid is None else entry.algid.value,
                "checksum": None if entry.checksum is None else encode_base64(entry.checksum),
            }
            for entry in made.kids
        ],
        **{form: _text(form, each) for form, each in forms.items()},
    }


def _write(file: Path, data: bytes) -> None:
    try:
        file.write_bytes(data)
    except OSError as error:
        raise InternalError(f"{file} cannot be written: {error.strerror}") from None
