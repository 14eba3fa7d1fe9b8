"""A simulated client: makes challenges, opens replies; knows nothing of the server.

It opens only licences that were issued to a certificate of its own test PKI.
"""

from rightsmanager.device.acknowledge import Acknowledged, acknowledge
from rightsmanager.device.acquire import Acquired, Wanted, acquire
from rightsmanager.device.http import Post, post, post_trusting
from rightsmanager.device.identity import Device, ServerKeys, load_device, save_device
from rightsmanager.device.opening import LicenseOpener, OpenedLicense, open_license, open_reply
from rightsmanager.device.revocation import HeldLists, load_lists, save_lists

__all__ = [
    "Acknowledged",
    "Acquired",
    "Device",
    "HeldLists",
    "LicenseOpener",
    "OpenedLicense",
    "Post",
    "ServerKeys",
    "Wanted",
    "acknowledge",
    "acquire",
    "load_device",
    "load_lists",
    "open_license",
    "open_reply",
    "post",
    "post_trusting",
    "save_device",
    "save_lists",
]
