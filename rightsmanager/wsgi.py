"""The application for an operator's own gunicorn: `rightsmanager.wsgi:create()`.

`config/gunicorn.conf.py` is the configuration to start it with.
"""

import gc
from collections.abc import Mapping

from rightsmanager.app import build
from rightsmanager.environment import passphrase
from rightsmanager.logs import configure_logs, log_deprecations
from rightsmanager.server import Runtime, Wsgi
from rightsmanager.settings import Settings
from rightsmanager.settings_loading import load_default
from rightsmanager.store.schema import refuse_outdated


def create() -> Wsgi:
    """Return the application of the settings in the environment and its settings file.

    Raises InternalError if the database needs an upgrade. An unreachable database is not an error
    here: a worker that starts meanwhile must not end the server.
    """
    loaded = load_default()
    settings = loaded.settings
    configure_logs(settings.log)
    log_deprecations(loaded.warnings)
    refuse_outdated(settings.effective_database_url)
    return create_from(settings, origins=loaded.origins)


def create_from(
    settings: Settings, *, is_loopback: bool = False, origins: Mapping[str, str] | None = None
) -> Wsgi:
    """Return the application of these settings.

    is_loopback: whether the server listens on loopback alone. origins: see Runtime.
    """
    runtime = Runtime(passphrase=passphrase(), is_loopback=is_loopback, origins=origins or {})
    application = build(settings, runtime).wsgi
    # The garbage collector need not visit modules and tables that live as long as the process.
    gc.freeze()
    return application
