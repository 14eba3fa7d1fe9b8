"""`rightsmanager device`: a simulated client of the test PKI."""

import json
import time
from pathlib import Path
from typing import Any, TypedDict

import click

from rightsmanager.cli.options import KidParameter, data_option, json_option, key_files
from rightsmanager.cli.printing import print_table
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import Rng, system_random
from rightsmanager.device import (
    Acknowledged,
    Acquired,
    Device,
    OpenedLicense,
    Opening,
    Post,
    Wanted,
    acknowledge,
    acquire,
    load_device,
    load_lists,
    post,
    save_device,
    save_lists,
)
from rightsmanager.device.identity import load_server_keys
from rightsmanager.keyring import certify_device
from rightsmanager.keyring.certification import DEFAULT_FEATURES, DEFAULT_LEVEL
from rightsmanager.protocol.bcert import ChainVerifier, Feature
from rightsmanager.protocol.pssh import parse_object, parse_pssh
from rightsmanager.protocol.revocation import NAMES
from rightsmanager.protocol.wire import Kid, decode_base64
from rightsmanager.protocol.wrmheader import Algid, Header, HeaderKid, Version, parse_header
from rightsmanager.protocol.xmr.objects import KeyType, SecurityLevel

FEATURES = {feature.name.lower().replace("_", "-"): feature for feature in Feature}


@click.group()
def device() -> None:
    """Make simulated devices and acquire licences with them."""


@device.command()
@data_option
@click.option(
    "--security-level", type=click.IntRange(0, 3000), default=DEFAULT_LEVEL, show_default=True
)
@click.option(
    "--feature",
    "features",
    multiple=True,
    type=click.Choice(list(FEATURES)),
    help="What the certificate says the device can do; again for more.",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
def new(data: Path, security_level: int, features: tuple[str, ...], folder: Path) -> None:
    """Make a device in DIR, certified by the issuer in the server's data folder."""
    files = key_files(data)
    keys = certify_device(
        files,
        system_random,
        security_level=security_level,
        features=tuple(FEATURES[name] for name in features) or DEFAULT_FEATURES,
    )
    made = Device(keys.chain, keys.signing_key, keys.encryption_key)
    save_device(folder, made, load_server_keys(files.public))
    click.echo(f"The device is in {folder}.")


@device.command(name="acquire")
@click.option(
    "--device",
    "folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The device's folder.",
)
@click.option("--url", required=True, help="The server's URL, with whatever query.")
@click.option("--kid", "kids", multiple=True, type=KidParameter(), help="GUID or base64.")
@click.option(
    "--header", "header_file", type=click.Path(path_type=Path, dir_okay=False, exists=True)
)
@click.option("--pssh", help="A PSSH box or PlayReady Object, base64.")
@click.option("--header-version", type=click.Choice([version.value for version in Version]))
@click.option("--algid", type=click.Choice(["AESCTR", "AESCBC"]), default="AESCTR")
@click.option("--custom-data", help="CustomData of the challenge.")
@click.option(
    "--no-acknowledge",
    "keep_quiet",
    is_flag=True,
    help="Do not acknowledge the licences, even if the reply asks for it.",
)
@json_option
def acquire_(  # noqa: PLR0913 -- one parameter for each option
    folder: Path,
    *,
    url: str,
    kids: tuple[Kid, ...],
    header_file: Path | None,
    pssh: str | None,
    header_version: str | None,
    algid: str,
    custom_data: str | None,
    keep_quiet: bool,
    as_json: bool,
) -> None:
    """Acquire licences and print them with their content keys, if every check passes."""
    header = _header(kids, header_file, pssh, header_version, algid)
    server = load_server_keys(folder)
    opening = Opening(
        load_device(folder), ChainVerifier((server.root,)), choose_backend(), load_lists(folder)
    )
    surroundings: _Surroundings = {"now": int(time.time()), "rng": system_random, "post": post}
    acquired = acquire(url, Wanted(header, custom_data), opening, server, **surroundings)
    save_lists(folder, acquired.held)
    acknowledged = (
        None if keep_quiet else acknowledge(url, acquired, opening, server, **surroundings)
    )
    if as_json:
        click.echo(json.dumps(_facts(acquired, acknowledged), indent=2))
    else:
        _print(acquired)
        _print_acknowledgement(acquired, acknowledged, keep_quiet=keep_quiet)


class _Surroundings(TypedDict):
    now: int
    rng: Rng
    post: Post


def _header(
    kids: tuple[Kid, ...],
    header_file: Path | None,
    pssh: str | None,
    version: str | None,
    algid: str,
) -> Header:
    if sum(map(bool, (kids, header_file, pssh))) != 1:
        raise click.UsageError("give one of --kid, --header and --pssh")
    if header_file is not None:
        return parse_header(header_file.read_bytes())
    if pssh is not None:
        return _header_in(decode_base64(pssh, "--pssh"))
    entries = tuple(HeaderKid(kid, Algid(algid)) for kid in kids)
    if version is None:
        one = Version.V4_0 if len(kids) == 1 else Version.V4_2
        version = one if algid == Algid.AESCTR else Version.V4_3
    return Header(Version(version), entries)


def _header_in(data: bytes) -> Header:
    return (parse_pssh(data).object if data[4:8] == b"pssh" else parse_object(data)).header


def _facts(acquired: Acquired, acknowledged: Acknowledged | None) -> dict[str, Any]:
    transaction_id = acquired.response.transaction_id
    return {
        "signed": acquired.response.signing_chain is not None,
        "transaction_id": None if transaction_id is None else transaction_id.text,
        "acknowledged": [
            {"kid": each.kid.text, "result": f"0x{each.result:08x}"}
            for each in (acknowledged.results if acknowledged else ())
        ],
        "revocation_lists": {NAMES[each.list_id]: each.version for each in acquired.held.lists},
        "custom_data": acquired.response.custom_data,
        "licenses": [_license_facts(license_) for license_ in acquired.licenses],
    }


def _license_facts(license_: OpenedLicense) -> dict[str, Any]:
    level = license_.license.find(SecurityLevel)
    return {
        "kid": license_.kid.text,
        "content_key": license_.content_key.hex(),
        "key_type": KeyType(license_.key_type).name,
        "rights_id": license_.license.rights_id.hex(),
        "persistent": license_.persistent,
        "security_level": None if level is None else level.level,
    }


def _print(acquired: Acquired) -> None:
    facts = [_license_facts(license_) for license_ in acquired.licenses]
    rows = [
        [
            fact["kid"],
            fact["content_key"],
            fact["key_type"],
            "yes" if fact["persistent"] else "no",
            str(fact["security_level"]),
        ]
        for fact in facts
    ]
    print_table(("KID", "content key", "key type", "persistent", "security level"), rows)
    signed = "signed" if acquired.response.signing_chain is not None else "not signed"
    click.echo(f"{_counted(len(rows))}, the reply {signed}; every check passed")


def _print_acknowledgement(
    acquired: Acquired, acknowledged: Acknowledged | None, *, keep_quiet: bool
) -> None:
    transaction_id = acquired.response.transaction_id
    if transaction_id is None:
        return
    if acknowledged is not None:
        told = f"acknowledged {_counted(len(acknowledged.results))} as stored"
    elif keep_quiet:
        told = "not acknowledged, as --no-acknowledge says"
    else:
        told = "nothing to acknowledge: no licence is persistent"
    click.echo(f"transaction {transaction_id.text}: {told}")


def _counted(licenses: int) -> str:
    return "1 licence" if licenses == 1 else f"{licenses} licences"
