"""The schema of CPIX documents: that of the library, which is CPIX 2.2, with later additions.

    ContentKey @commonEncryptionScheme     CPIX 2.3
    ContentKeyPeriod @label, @startOffset, @endOffset    CPIX 2.4
    KeyPeriodFilter @periodId              refers to an id; the library's schema has it as an id

Source: DASH-IF Implementation Guidelines, Content Protection Information Exchange Format, versions
2.1 to 2.4.
"""

import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from lxml import etree

from rightsmanager.errors import InvalidMessage

_XS: Final = "{http://www.w3.org/2001/XMLSchema}"
_ADDED: Final = (
    (f".//{_XS}complexType[@name='ContentKeyType']//{_XS}extension", "commonEncryptionScheme"),
    *(
        (f".//{_XS}complexType[@name='ContentKeyPeriodType']", name)
        for name in ("label", "startOffset", "endOffset")
    ),
)
_KEY_VALUE: Final = re.compile(r"(Element '\{[^}]*:pskc\}\w+'): '.*' is", re.DOTALL)
"""The beginning of an error that shows the text of an element of PSKC."""


def refuse_invalid(root: etree._Element) -> None:
    """Raise InvalidMessage, which names the first error, unless a document fits the schema."""
    schema = _schema()
    if not schema.validate(root):
        error = schema.error_log[0]
        # A content key, such as one in base64 without its padding, must not be in a text.
        text = _KEY_VALUE.sub(r"\1: the value is", error.message)
        text = text.replace("urn:dashif:org:cpix", "cpix")[:300]
        raise InvalidMessage(
            f"the CPIX document does not fit the schema, line {error.line}: {text}"
        )


@cache
def _schema() -> etree.XMLSchema:
    # Made at its first use: it takes 10 ms.
    file = Path(str(files("cpix").joinpath("schema", "cpix.xsd")))
    tree = etree.parse(file)
    for path, name in _ADDED:
        (place,) = tree.findall(path)
        attribute = etree.SubElement(place, f"{_XS}attribute", name=name, type="xs:string")
        attribute.set("use", "optional")
    for attribute in tree.iterfind(f".//{_XS}attribute[@name='periodId']"):
        attribute.set("type", "xs:IDREF")
    return etree.XMLSchema(tree)
