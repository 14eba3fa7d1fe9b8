"""A simulated client: makes challenges, opens replies; knows nothing of the server.

It opens only licences that were issued to a certificate of its own test PKI.
"""

from rightsmanager.device.acquire import Acquired, Wanted, acquire
from rightsmanager.device.http import Post, post
from rightsmanager.device.identity import Device, ServerKeys, load_device, save_device
from rightsmanager.device.opening import OpenedLicense, Opening, open_license, open_reply

__all__ = [
    "Acquired",
    "Device",
    "OpenedLicense",
    "Opening",
    "Post",
    "ServerKeys",
    "Wanted",
    "acquire",
    "load_device",
    "open_license",
    "open_reply",
    "post",
    "save_device",
]
