"""A simulated device: makes challenges, verifies replies, and stores licences.

    from rightsmanager.device import Messages, open_device

    with open_device("players/one") as device:
        challenge = Messages(device).acquire_license(header)

It knows nothing of the server's code, and opens only licences that were issued to a certificate of
its own test PKI. docs/python-api.md describes this package.
"""

from rightsmanager.device.acquire import (
    Acknowledgement,
    Acquired,
    Wanted,
    acknowledge,
    acquire,
    header_of_kids,
)
from rightsmanager.device.client import ServerClient
from rightsmanager.device.embedded import find_embedded, open_embedded
from rightsmanager.device.http import HttpClient, Post, post, post_trusting
from rightsmanager.device.identity import Device, ServerKeys, load_device, save_device
from rightsmanager.device.membership import Joining
from rightsmanager.device.messages import Accepted, Challenge, Messages, Wrapping
from rightsmanager.device.opening import LicenseOpener, OpenedLicense, open_license, open_reply
from rightsmanager.device.revocation import HeldLists, load_lists, save_lists
from rightsmanager.device.session import DeviceSession, open_device
from rightsmanager.protocol.formats.input_forms import find_header
from rightsmanager.protocol.messages.packaging import StreamInformation

__all__ = [
    "Accepted",
    "Acknowledgement",
    "Acquired",
    "Challenge",
    "Device",
    "DeviceSession",
    "HeldLists",
    "HttpClient",
    "Joining",
    "LicenseOpener",
    "Messages",
    "OpenedLicense",
    "Post",
    "ServerClient",
    "ServerKeys",
    "StreamInformation",
    "Wanted",
    "Wrapping",
    "acknowledge",
    "acquire",
    "find_embedded",
    "find_header",
    "header_of_kids",
    "load_device",
    "load_lists",
    "open_device",
    "open_embedded",
    "open_license",
    "open_reply",
    "post",
    "post_trusting",
    "save_device",
    "save_lists",
]
