"""The back ends that work on this machine."""

import pytest

from rightsmanager.crypto.p256 import Backend
from rightsmanager.crypto.p256_backends import BACKENDS, available_backends

AVAILABLE = {backend.name: backend for backend in available_backends()}


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> Backend:
    return AVAILABLE[request.param]
