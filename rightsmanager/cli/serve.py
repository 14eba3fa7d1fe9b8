"""`rightsmanager serve`: makes what is missing in the data folder and serves."""

import json
import os
import socket
import sys
from pathlib import Path

import click

from rightsmanager.cli.options import data_option, json_option, key_files, rng_for, settings_of
from rightsmanager.errors import InternalError
from rightsmanager.keyring import create
from rightsmanager.keyring.identities import ROOT
from rightsmanager.logs import configure_logs
from rightsmanager.protocol.fingerprints import fingerprint
from rightsmanager.settings import Settings
from rightsmanager.store.schema import upgrade

TEST_KID = "6f651ae1-dbe4-4434-bcb4-690d1564c41c"
"""The KID of published test content, made with the Test Key Seed."""


@click.command()
@data_option
@click.option("--bind", metavar="HOST:PORT", help="The address to listen on; port 0 for any.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes.")
@json_option
def serve(data: Path, bind: str | None, workers: int | None, *, as_json: bool) -> None:
    """Serve, with a test PKI that is made on first start."""
    # Gunicorn and all it serves take half a second to import; other commands need none of it.
    from rightsmanager.wsgi import Gunicorn  # noqa: PLC0415

    given = {"bind": bind, "workers": workers}
    settings = settings_of(
        data, server={name: value for name, value in given.items() if value is not None}
    )
    configure_logs(settings.log)
    refuse_taken(settings.server.bind)
    prepare(settings)

    def ready(address: str) -> None:
        announce(settings, address, as_json=as_json)

    Gunicorn(settings, ready).run()


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
    create(key_files(settings.data), rng_for(None), settings.effective_metering_url)
    upgrade(settings.effective_database_url)


def announce(settings: Settings, address: str, *, as_json: bool) -> None:
    """Print where the server is, who it is, and one line to try."""
    url = f"http://{address}/rightsmanager.asmx"
    root = fingerprint((settings.data / "public" / f"{ROOT.name}.pub").read_bytes())
    if as_json:
        click.echo(json.dumps({"url": url, "root": root, "pid": os.getpid()}))
    else:
        click.echo(f"RightsManager serves at  {url}")
        click.echo(f"root of its test PKI     {root}")
        click.echo(f"try                      {_try_line(settings.data, url)}")
    sys.stdout.flush()


def _try_line(data: Path, url: str) -> str:
    program, device = sys.argv[0], data / "device"
    acquire = f"{program} device acquire --device {device} --url {url} --kid {TEST_KID}"
    if device.exists():
        return acquire
    return f"{program} device new {device} --data {data} && {acquire}"
