"""The table of operations agrees with the messages."""

from rightsmanager.protocol.messages import (
    acknowledgement,
    delete_license,
    domain,
    metering,
    packaging,
    secure_stop,
)
from rightsmanager.protocol.messages.operations import OPERATIONS, Role

NAMES = {
    each.operation: (each.challenge, each.reply)
    for each in (
        acknowledgement.FORM,
        delete_license.FORM,
        domain.JOIN,
        domain.LEAVE,
        metering.CERTIFICATE_FORM,
        metering.DATA_FORM,
        secure_stop.FORM,
    )
} | {"AcquireLicense": ("LA", "LicenseResponse")}


def test_each_operation_has_the_elements_of_its_messages() -> None:
    assert set(OPERATIONS) == {*NAMES, packaging.OPERATION}
    for name, (challenge, reply) in NAMES.items():
        operation = OPERATIONS[name]
        assert operation.name == name
        assert (operation.challenge.element, operation.reply.element) == (challenge, reply)


def test_each_role_has_an_operation_and_each_operation_a_summary() -> None:
    assert {operation.role for operation in OPERATIONS.values()} == set(Role)
    assert all(operation.summary for operation in OPERATIONS.values())
