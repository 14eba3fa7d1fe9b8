"""The commands of `rightsmanager`."""

import contextlib
import io
import sys
from typing import Final

import click

from rightsmanager import __version__
from rightsmanager.cli.failures import Invocation, exit_status, report
from rightsmanager.cli.lazy import Lazy, LazyGroup
from rightsmanager.errors import Refusal

_CLI: Final = "rightsmanager.cli"
COMMANDS: Final = {
    "serve": Lazy(f"{_CLI}.serve:serve", "Start the server"),
    "init": Lazy(f"{_CLI}.keys:init", "Make the keys and the database of a data folder"),
    "config": Lazy(f"{_CLI}.config:config", "Print the settings and where each comes from"),
    "keys": Lazy(f"{_CLI}.keys:keys", "Show the keyring and its fingerprints"),
    "database": Lazy(f"{_CLI}.database:database", "Show and upgrade the database's schema"),
    "content": Lazy(f"{_CLI}.content:content", "Manage content keys"),
    "header": Lazy(f"{_CLI}.header:header", "Make content headers and show them"),
    "packager": Lazy(f"{_CLI}.packager:packager", "Ask a server for keys, as a packager does"),
    "device": Lazy(f"{_CLI}.device:device", "Make simulated devices and use them"),
    "domain": Lazy(f"{_CLI}.domain:domain", "Manage accounts and their domains"),
    "metering": Lazy(f"{_CLI}.metering:metering", "Manage metering ids and reports"),
    "journal": Lazy(f"{_CLI}.journal:journal", "Show what was asked and answered"),
    "world": Lazy(f"{_CLI}.world:world", "Create worlds for tests and change them"),
    "fault": Lazy(f"{_CLI}.fault:fault", "List the kinds of faults that a world can inject"),
    "purge": Lazy(f"{_CLI}.purge:purge", "Remove old licences, reports and sessions"),
    "licenses": Lazy(f"{_CLI}.licenses:licenses", "List issued licences"),
    "sessions": Lazy(f"{_CLI}.sessions:sessions", "List playback sessions under secure stop"),
    "streams": Lazy(f"{_CLI}.streams:streams", "List and end streams under secure stop"),
    "ledger": Lazy(f"{_CLI}.ledger:ledger", "Show the persistent licences of a device"),
    "revoke": Lazy(f"{_CLI}.revocation:revoke", "Revoke a certificate"),
    "unrevoke": Lazy(f"{_CLI}.revocation:unrevoke", "Serve a revoked certificate again"),
    "revocations": Lazy(f"{_CLI}.revocation:revocations", "Show the revocation lists"),
    "token": Lazy(f"{_CLI}.token:token", "Manage tokens of the API and the console"),
    "show": Lazy(f"{_CLI}.show:show", "Decode and check a licence, challenge, header or chain"),
    "explain": Lazy(f"{_CLI}.explain:explain_", "Explain which licences a request would get"),
    "conformance": Lazy(f"{_CLI}.conformance:conformance", "Grade the behaviour of a client"),
    "request-token": Lazy(f"{_CLI}.request_token:request_token", "Print a signed request token"),
}
"""All commands, in the order in which help lists them."""


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Settings: DIR/rightsmanager.toml in the data folder DIR, or the file that "
    "RIGHTSMANAGER_CONFIG names. A variable such as RIGHTSMANAGER_SERVER__WORKERS=4 overrides the "
    "file. RIGHTSMANAGER_DATA names the data folder, and RIGHTSMANAGER_PASSPHRASE encrypts its "
    "private keys. config/rightsmanager.toml lists every setting; README.md and docs/ are the "
    "documentation. Exit status: 0 for success, 1 for a failure, 2 for wrong usage, 3 for a fault "
    "that a server sent, 4 if a server cannot be reached or does not speak SOAP.",
)
@click.version_option(__version__)
def rightsmanager() -> None:
    """Emulate PlayReady's RightsManager.asmx with a test PKI."""


def main() -> None:
    """Run a command; a failure becomes one line or JSON, and an exit status."""
    for stream in (sys.stdout, sys.stderr):
        # A file name may have bytes that are not UTF-8; printing one must not fail.
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError):
                stream.reconfigure(errors="backslashreplace")
    invocation = Invocation()
    try:
        rightsmanager(obj=invocation)
    except Refusal as refusal:
        report(refusal, invocation.form)
        sys.exit(exit_status(refusal))
