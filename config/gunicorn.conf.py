"""Gunicorn's configuration, for operators who start gunicorn themselves.

gunicorn --config config/gunicorn.conf.py 'rightsmanager.wsgi:create()'

Run `rightsmanager init` first: it makes the keys and the database's tables. The server's settings
come from the environment and config/rightsmanager.toml, as with `rightsmanager serve`.
"""

from rightsmanager.serving.options import gunicorn_options
from rightsmanager.settings_loading import default_settings

globals().update(gunicorn_options(default_settings()))
