"""`rightsmanager header`: content headers for KIDs, in each of their forms."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from rightsmanager.cli.operator import Operator, pass_operator
from rightsmanager.cli.options import SERVICE, Parsed, add_options
from rightsmanager.cli.printing import Form, json_option, print_json
from rightsmanager.cli.show import show
from rightsmanager.cli.versions import VersionParameter
from rightsmanager.crypto.keyseed import content_key
from rightsmanager.errors import InvalidMessage, ServiceSpecific
from rightsmanager.files import write_output
from rightsmanager.operations.content import FoundKey
from rightsmanager.protocol.formats.keylists import parse_content_key
from rightsmanager.protocol.formats.pssh import (
    EMBEDDED_LICENSE_STORE,
    MAX_BYTES,
    PlayReadyObject,
    Pssh,
    Record,
    build_object,
    build_pssh,
    object_of,
)
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

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NO_ALGID: Final = "none"
_ALGIDS: Final = {KeyType.AES_CTR: Algid.AESCTR, KeyType.AES_CBC: Algid.AESCBC}
_WITH_CHECKSUM: Final = {Algid.AESCTR, Algid.COCKTAIL}


@dataclass(frozen=True, slots=True)
class GivenKey:
    """A KID of the command line, with its content key if one is given."""

    kid: Kid
    key: bytes | None = field(default=None, repr=False)
    """16 bytes."""


def _parse_given_key(text: str) -> GivenKey:
    kid, _, key = text.partition(":")
    clear = parse_content_key(key, "the content key") if key else None
    return GivenKey(Kid.parse(kid), clear)


@dataclass(frozen=True, slots=True)
class HeaderOptions:
    """The options of a header."""

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
        """Return the header of these KIDs; raises InvalidMessage for a contradiction."""
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
        # Parsed again, because an option may hold text that XML cannot.
        return parse_header(canonical_header(header))

    @property
    def needs_keys(self) -> bool:
        """Whether the header depends on the content keys."""
        return self.algid is None or (self.has_checksum and self.algid in _WITH_CHECKSUM)

    def algid_of(self, key: FoundKey) -> Algid | None:
        """Return the ALGID of a key: the option's, else the stored key's, else AESCTR."""
        if self.algid is not None:
            return None if self.algid == NO_ALGID else Algid(self.algid)
        return _ALGIDS[key.key_type] if key.key_type else Algid.AESCTR

    def _version(self, kids: tuple[HeaderKid, ...]) -> Version:
        """Return the version of the option, else the oldest one that can say all this."""
        if self.version is not None:
            return self.version
        if not self.license_requested or {key.algid for key in kids} & {Algid.AESCBC, None}:
            return Version.V4_3
        return Version.V4_0 if len(kids) == 1 else Version.V4_2


_header_options: Final = add_options(
    click.option(
        "--version",
        type=VersionParameter(),
        help="The header's version.  [default: the oldest that can say what is asked]",
    ),
    click.option(
        "--algid",
        type=click.Choice([*Algid.__members__, NO_ALGID]),
        help="The encryption of the content.  [default: the stored key's, else AESCTR]",
    ),
    click.option(
        "--checksum/--no-checksum",
        "has_checksum",
        default=True,
        help="Include the checksum of each key, if its ALGID has one.",
    ),
    click.option("--la-url", help="LA_URL: the address for licences."),
    click.option("--lui-url", help="LUI_URL: the page where people get licences."),
    click.option("--ds-id", type=SERVICE, help="DS_ID: a domain service."),
    click.option("--custom-attributes", help="The XML in CUSTOMATTRIBUTES."),
    click.option("--decryptor-setup", help="DECRYPTORSETUP, such as ONDEMAND."),
    click.option(
        "--license-requested/--no-license-requested",
        default=True,
        help="LICENSEREQUESTED of version 4.3.",
    ),
)


@click.group()
def header() -> None:
    """Make content headers and show them.

    Example: rightsmanager header make 6f651ae1-dbe4-4434-bcb4-690d1564c41c
    """


header.add_command(show)


@header.command()
@pass_operator
@_header_options
@click.option(
    "--as",
    "output_form",
    type=click.Choice(["wrmheader", "object", "pssh"]),
    default="pssh",
    show_default=True,
    help="The form to print.",
)
@click.option(
    "--pssh-version",
    type=click.IntRange(0, 1),
    default=0,
    show_default=True,
    help="The box's version; 1 lists the KIDs too.",
)
@click.option(
    "--license-store",
    metavar="BYTES",
    type=click.IntRange(1, MAX_BYTES),
    help="Add an empty store for embedded licences, such as 10240.",
)
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the raw bytes to this file.",
)
@json_option
@click.argument(
    "keys",
    metavar="KID[:KEY]...",
    nargs=-1,
    type=Parsed("kid[:key]", _parse_given_key),
)
def make(  # noqa: PLR0913 -- one parameter for each option
    operator: Operator,
    /,
    *,
    output_form: str,
    pssh_version: int,
    license_store: int | None,
    output: Path | None,
    form: Form,
    keys: tuple[GivenKey, ...],
    **options: Any,  # noqa: ANN401 -- the fields of HeaderOptions
) -> None:
    """Make a content header and print it.

    A WRMHEADER is printed as text, the other forms in base64. The checksum is of the given content
    KEY (32 hexadecimal digits or base64), else of the stored one, else of the key seed's. A header
    without KIDs needs --decryptor-setup or --no-license-requested.
    """
    if not keys and options["decryptor_setup"] is None and options["license_requested"]:
        raise click.UsageError(
            "Missing argument 'KID[:KEY]...', or --decryptor-setup or --no-license-requested."
        )
    operator.refuse_missing_given_data()
    header_options = HeaderOptions(**options)
    made = header_options.header(_entries(operator, header_options, keys))
    forms = _forms(made, pssh_version, license_store or 0)
    if output is not None:
        write_output(output, forms[output_form])
    if form == "json":
        print_json(_facts(made, forms))
    elif output is None:
        click.echo(_text(output_form, forms[output_form]))


def _entries(
    operator: Operator, options: HeaderOptions, keys: "Sequence[GivenKey]"
) -> tuple[HeaderKid, ...]:
    missing = [given.kid for given in keys if given.key is None]
    found = _find_keys(operator, missing) if missing and options.needs_keys else {}
    return tuple(
        _entry(options, given.kid, found.get(given.kid) or FoundKey(given.key or b"", None))
        for given in keys
    )


def _entry(options: HeaderOptions, kid: Kid, key: FoundKey) -> HeaderKid:
    algid = options.algid_of(key)
    digest = checksum(algid, key.key, kid) if options.has_checksum else None
    return HeaderKid(kid, algid, digest)


def _find_keys(operator: Operator, kids: "Sequence[Kid]") -> "Mapping[Kid, FoundKey]":
    """Return the stored key of each KID, else the seed's; without a database the seed's."""
    if operator.has_store:
        content_keys = operator.content_keys
        with operator.store.reading() as transaction:
            return {kid: content_keys.find(transaction, kid) for kid in kids}
    seed = decode_base64(operator.settings.license.key_seed, "license.key_seed")
    if not seed:
        raise ServiceSpecific(f"KID {kids[0].text} has no content key: there is no key seed")
    return {kid: FoundKey(content_key(seed, kid.raw), None) for kid in kids}


def _forms(made: Header, pssh_version: int, license_store: int) -> dict[str, bytes]:
    store = (Record(EMBEDDED_LICENSE_STORE, bytes(license_store)),) if license_store else ()
    playready_object = PlayReadyObject((*object_of(made).records, *store))
    kids = tuple(entry.kid for entry in made.kids) if pssh_version else ()
    return {
        "wrmheader": canonical_header(made).encode(),
        "object": build_object(playready_object),
        "pssh": build_pssh(Pssh(playready_object, kids, pssh_version)),
    }


def _text(form: str, made: bytes) -> str:
    return made.decode() if form == "wrmheader" else encode_base64(made)


def _facts(made: Header, forms: "Mapping[str, bytes]") -> dict[str, object]:
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
