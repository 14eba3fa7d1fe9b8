"""`rightsmanager serve`: makes what is missing in the data folder and serves."""

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import click

from rightsmanager.cli.options import data_option, json_option, key_files, settings_of
from rightsmanager.crypto.random import system_random
from rightsmanager.errors import InternalError
from rightsmanager.keyring import create, rng_for
from rightsmanager.keyring.identities import ROOT
from rightsmanager.logs import configure_logs
from rightsmanager.protocol.formats.fingerprints import fingerprint
from rightsmanager.settings import Settings
from rightsmanager.store.schema import upgrade
from rightsmanager.web.tls import TlsFiles, prepare_https, shown, shown_certificate

TEST_KID = "6f651ae1-dbe4-4434-bcb4-690d1564c41c"
"""The KID of published test content, made with the Test Key Seed."""


@click.command()
@data_option
@click.option("--bind", metavar="HOST:PORT", help="The address to listen on; port 0 for any.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes.")
@click.option("--https", is_flag=True, help="HTTPS with a certificate that is made on first start.")
@click.option("--certfile", metavar="FILE", help="HTTPS with this certificate and its chain, PEM.")
@click.option("--keyfile", metavar="FILE", help="The certificate's key, PEM.")
@json_option
def serve(  # noqa: PLR0913 -- one parameter for each option
    data: Path,
    *,
    bind: str | None,
    workers: int | None,
    https: bool,
    certfile: str | None,
    keyfile: str | None,
    as_json: bool,
) -> None:
    """Serve, with a test PKI that is made on first start."""
    # Gunicorn and all it serves take half a second to import; other commands need none of it.
    from rightsmanager.wsgi import Gunicorn  # noqa: PLC0415

    given = {"bind": bind, "workers": workers, **_https_settings(certfile, keyfile, https=https)}
    settings = settings_of(
        data, server={name: value for name, value in given.items() if value is not None}
    )
    configure_logs(settings.log)
    refuse_taken(settings.server.bind)
    prepare(settings)

    def ready(address: str) -> None:
        announce(settings, address, as_json=as_json)

    Gunicorn(settings, ready).run()


def _https_settings(certfile: str | None, keyfile: str | None, *, https: bool) -> dict[str, Any]:
    """Return the settings that the options stand for; they replace whatever else is set."""
    if https and certfile:
        raise click.UsageError("give one of --https and --certfile")
    if keyfile and not certfile:
        raise click.UsageError("--keyfile needs --certfile")
    if https:
        return {"https": "self-signed", "certfile": "", "keyfile": ""}
    return {"https": "off", "certfile": certfile, "keyfile": keyfile or ""} if certfile else {}


def refuse_taken(bind: str) -> None:
    """Refuse an address that cannot be listened on: gunicorn would try it for five seconds."""
    host, _, port = bind.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host.strip("[]"), int(port)), family=family).close()
    except OSError as error:
        raise InternalError(f"the server cannot listen on {bind}: {error.strerror}") from None


def prepare(settings: Settings) -> None:
    """Make the keys, certificates and tables that are missing."""
    files = key_files(settings.data)
    create(files, rng_for(None), settings.effective_metering_url)
    prepare_https(settings, files, int(time.time()), system_random)
    upgrade(settings.effective_database_url)


def announce(settings: Settings, address: str, *, as_json: bool) -> None:
    """Print where the server is, who it is, and one line to try."""
    files = shown(settings)
    url = f"{'https' if files else 'http'}://{address}/rightsmanager.asmx"
    root = fingerprint((settings.data / "public" / f"{ROOT.name}.pub").read_bytes())
    if as_json:
        facts = {"url": url, "root": root, "pid": os.getpid()}
        click.echo(json.dumps({**facts, **({"https": _https_facts(files)} if files else {})}))
    else:
        click.echo(f"RightsManager serves at  {url}")
        click.echo(f"root of its test PKI     {root}")
        if files:
            _print_https(_https_facts(files))
        click.echo(f"try                      {_try_line(settings.data, url, files)}")
    sys.stdout.flush()


def _https_facts(files: TlsFiles) -> dict[str, str]:
    certificate = shown_certificate(files)
    return {
        "certificate": str(files.trusted_by),
        "sha256": certificate.fingerprint,
        "spki_sha256": certificate.spki_sha256,
    }


def _print_https(facts: dict[str, str]) -> None:
    click.echo(f"its certificate          {facts['certificate']}")
    click.echo(f"SHA-256 of that          {facts['sha256']}")
    click.echo(f"SHA-256 of its key       {facts['spki_sha256']}")


def _try_line(data: Path, url: str, https: TlsFiles | None) -> str:
    program, device = sys.argv[0], data / "device"
    trust = f" --cafile {https.trusted_by}" if https else ""
    acquire = f"{program} device acquire --device {device} --url {url}{trust} --kid {TEST_KID}"
    if device.exists():
        return acquire
    return f"{program} device new {device} --data {data} && {acquire}"
