"""The nine operations as one table: the function of each operation of the protocol's table."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from rightsmanager.hooks.calls import with_hooks
from rightsmanager.operations.acknowledge_license import acknowledge_license
from rightsmanager.operations.acquire_license import acquire_license
from rightsmanager.operations.acquire_packaging_data import acquire_packaging_data
from rightsmanager.operations.context import Context, Operation
from rightsmanager.operations.get_metering_certificate import get_metering_certificate
from rightsmanager.operations.join_domain import join_domain
from rightsmanager.operations.leave_domain import leave_domain
from rightsmanager.operations.process_delete_license_data import process_delete_license_data
from rightsmanager.operations.process_metering_data import process_metering_data
from rightsmanager.operations.process_secure_stop_data import process_secure_stop_data
from rightsmanager.operations.request import Request

FUNCTIONS: Final[Mapping[str, Operation]] = {
    "AcquireLicense": acquire_license,
    "AcknowledgeLicense": acknowledge_license,
    "JoinDomain": join_domain,
    "LeaveDomain": leave_domain,
    "GetMeteringCertificate": get_metering_certificate,
    "ProcessMeteringData": process_metering_data,
    "ProcessSecureStopData": process_secure_stop_data,
    "ProcessDeleteLicenseData": process_delete_license_data,
    "AcquirePackagingData": acquire_packaging_data,
}
"""The function of each operation by its wire name."""


def bind_operations(context: Context) -> Mapping[str, Callable[[Request], bytes]]:
    """Return the operations of a context by wire name; hooks receive their outcomes."""
    return {
        name: with_hooks(name, partial(function, context), context.hooks)
        for name, function in FUNCTIONS.items()
    }
