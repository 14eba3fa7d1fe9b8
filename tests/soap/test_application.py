"""The three lists of operations agree: the table, spyne's registry and the WSDL."""

import logging
import subprocess
import sys

from rightsmanager.protocol.messages.operations import OPERATIONS, Role
from rightsmanager.soap.application import build


def test_spyne_has_the_nine_operations_of_the_table() -> None:
    application = build({}, frozenset(Role))
    registered = application.interface.service_method_map
    assert [
        f"{{http://schemas.microsoft.com/DRM/2007/03/protocols}}{name}" for name in OPERATIONS
    ] == list(registered)
    for (descriptor,) in registered.values():
        assert list(descriptor.in_message._type_info) == ["challenge"]
        assert list(descriptor.out_message._type_info) == [f"{descriptor.name}Result"]


def test_both_out_protocols_belong_to_the_application_before_the_first_call() -> None:
    application = build({}, frozenset(Role))
    assert {reply.app for reply in application.in_protocol._answers.values()} == {application}


def test_every_role_has_an_operation() -> None:
    assert {operation.role for operation in OPERATIONS.values()} == set(Role)


def test_spynes_loggers_are_silent() -> None:
    assert not logging.getLogger("spyne.application.server").isEnabledFor(logging.CRITICAL)


def test_the_stand_in_for_cgi_does_not_outlive_the_import() -> None:
    code = "import sys, rightsmanager.soap.application; assert 'cgi' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
