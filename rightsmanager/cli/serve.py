"""`rightsmanager serve`: makes the missing keys and tables, and starts the server."""

import json
import os
import socket
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import click

from rightsmanager.app import build
from rightsmanager.assembly import refuse_lost_keyring
from rightsmanager.cli.operator import Operator, now, pass_operator
from rightsmanager.cli.printing import Form, json_option
from rightsmanager.crypto.random import system_random
from rightsmanager.environment import passphrase
from rightsmanager.errors import InternalError
from rightsmanager.files import read_file
from rightsmanager.keyring import create, rng_for
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.keyring.identities import ROOT
from rightsmanager.logs import configure_logs, log_deprecations
from rightsmanager.protocol.wire import fingerprint
from rightsmanager.server import Runtime, Wsgi
from rightsmanager.serving.options import Gunicorn
from rightsmanager.settings import Settings
from rightsmanager.store.schema import upgrade
from rightsmanager.web.tls import (
    TlsFiles,
    find_client_ca,
    find_tls_files,
    prepare_https,
    read_tls_certificate,
    server_context,
)
from rightsmanager.wsgi import create_from

TEST_KID: Final = "6f651ae1-dbe4-4434-bcb4-690d1564c41c"
"""The KID of published test content, whose key the Test Key Seed gives."""


@click.command()
@pass_operator
@click.option("--bind", metavar="HOST:PORT", help="The address to listen on; port 0 for any.")
@click.option("--workers", type=click.IntRange(min=1), help="The number of processes.")
@click.option("--lab", is_flag=True, help="Serve worlds for tests, at /w/NAME.")
@click.option("--https", is_flag=True, help="Serve HTTPS with a self-signed certificate.")
@click.option("--certfile", metavar="FILE", help="Serve HTTPS with this PEM certificate chain.")
@click.option("--keyfile", metavar="FILE", help="The certificate's key, PEM.")
@json_option
def serve(  # noqa: PLR0913 -- one parameter for each option
    operator: Operator,
    *,
    bind: str | None,
    workers: int | None,
    lab: bool,
    https: bool,
    certfile: str | None,
    keyfile: str | None,
    form: Form,
) -> None:
    """Start the server.

    The first start makes the data folder with a test PKI and a database. All other settings come
    from the settings file and from RIGHTSMANAGER_ variables.

    Example: rightsmanager serve --bind 0.0.0.0:8080 --workers 2
    """
    given = {"bind": bind, "workers": workers, **_https_settings(certfile, keyfile, https=https)}
    options = {name: value for name, value in given.items() if value is not None}
    sections = {"server": options, **({"lab": {"enabled": True}} if lab else {})}
    refuse_taken(operator.settings_with(**sections).server.bind)

    origins: dict[str, str] = {}

    def read() -> Settings:
        loaded = operator.load(**sections)
        configure_logs(loaded.settings.log)
        log_deprecations(loaded.warnings)
        prepare(loaded.settings)
        refuse_unusable(loaded.settings)
        origins.clear()
        origins.update(loaded.origins)
        return loaded.settings

    def ready(address: str) -> None:
        announce(gunicorn.settings, address, as_json=form == "json")

    def load(settings: Settings) -> Wsgi:
        is_local = is_loopback(settings.server.bind)
        return create_from(settings, is_loopback=is_local, origins=origins)

    gunicorn = Gunicorn(read, load, ready)
    gunicorn.run()


def _https_settings(certfile: str | None, keyfile: str | None, *, https: bool) -> dict[str, Any]:
    """Return the settings of the options, which replace all other settings of HTTPS."""
    if https and certfile:
        raise click.UsageError("give one of --https and --certfile")
    if keyfile and not certfile:
        raise click.UsageError("--keyfile needs --certfile")
    if https:
        return {"https": "self-signed", "certfile": "", "keyfile": ""}
    return {"https": "off", "certfile": certfile, "keyfile": keyfile or ""} if certfile else {}


def is_loopback(bind: str) -> bool:
    """Return True if an address to listen on is reached from this machine only."""
    host = bind.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def refuse_taken(bind: str) -> None:
    """Raise InternalError if the address cannot be listened on."""
    # gunicorn would retry for five seconds.
    host, _, port = bind.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host.strip("[]"), int(port)), family=family).close()
    except OSError as error:
        raise InternalError(f"the server cannot listen on {bind}: {error.strerror}") from None


def prepare(settings: Settings) -> None:
    """Make the missing keys, certificates and tables."""
    files = KeyFiles(settings.data, passphrase())
    refuse_lost_keyring(settings, files)
    create(files, rng_for(None), settings.effective_metering_url)
    prepare_https(settings, files, now(), system_random)
    upgrade(settings.effective_database_url)


def refuse_unusable(settings: Settings) -> None:
    """Raise InternalError, which names the setting, unless a server can be built."""
    # Workers build theirs after the server has said that it serves, and would end it.
    files = find_tls_files(settings)
    if files is not None:
        for name in ("certfile", "keyfile"):
            file = getattr(settings.server, name)
            if file:
                _refuse_missing(f"server.{name}", Path(file))
        server_context(files, passphrase(), find_client_ca(settings))
    build(settings, Runtime(passphrase=passphrase())).store.close()


def _refuse_missing(setting: str, file: Path) -> None:
    try:
        read_file(file)
    except InternalError as error:
        raise InternalError(f"{setting}: {error.text}") from None


def announce(settings: Settings, address: str, *, as_json: bool) -> None:
    """Print the server's URL, the fingerprint of its root, and a command to try."""
    files = find_tls_files(settings)
    url = f"{'https' if files else 'http'}://{address}/rightsmanager.asmx"
    root = fingerprint(read_file(KeyFiles(settings.data, None).public_file(ROOT.name)))
    if as_json:
        # One line, so that a harness can read where the server is.
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
    certificate = read_tls_certificate(files)
    return {
        "certificate": str(files.trusted_by),
        "sha256": certificate.fingerprint,
        "spki_sha256": certificate.spki_sha256,
    }


def _print_https(facts: dict[str, str]) -> None:
    click.echo(f"certificate              {facts['certificate']}")
    click.echo(f"SHA-256 of it            {facts['sha256']}")
    click.echo(f"SHA-256 of its key       {facts['spki_sha256']}")


def _try_line(data: Path, url: str, https: TlsFiles | None) -> str:
    program, device = sys.argv[0], data / "device"
    trust = f" --cafile {https.trusted_by}" if https else ""
    acquire = f"{program} device acquire --device {device} --url {url}{trust} --kid {TEST_KID}"
    if device.exists():
        return acquire
    return f"{program} device new {device} --data {data} && {acquire}"
