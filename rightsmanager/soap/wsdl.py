"""The service description, written by hand in rightsmanager.wsdl, with the address filled in.

spyne's own has other soapActions, no SOAP 1.2 binding, and the Host header of its first caller.
"""

from functools import cache
from importlib.resources import files
from xml.sax.saxutils import quoteattr

_PLACE = '"ADDRESS"'


def build_wsdl(url: str) -> bytes:
    """Return the WSDL 1.1 document, in UTF-8, whose two ports are at this URL."""
    return _template().replace(_PLACE, quoteattr(url)).encode()


@cache
def _template() -> str:
    return files(__package__).joinpath("rightsmanager.wsdl").read_text(encoding="utf-8")
