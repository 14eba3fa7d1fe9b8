"""Gunicorn's settings for operators who start it themselves.

gunicorn --config config/gunicorn.conf.py 'rightsmanager.wsgi:create()'

`rightsmanager init` must have made the data folder's keys before. Settings of the server come from
the environment and config/rightsmanager.toml, as with `rightsmanager serve`.
"""

from rightsmanager.settings import default_settings
from rightsmanager.wsgi import gunicorn_options

globals().update(gunicorn_options(default_settings()))
