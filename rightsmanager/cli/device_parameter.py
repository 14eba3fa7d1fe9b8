"""How a command is told which device is meant."""

from pathlib import Path

import click

from rightsmanager.admin.domains import parse_device
from rightsmanager.device.identity import CHAIN_FILE
from rightsmanager.errors import InvalidMessage
from rightsmanager.operations.clients import device_id
from rightsmanager.protocol.formats.bcert import parse_chain


class DeviceParameter(click.ParamType[str]):
    """A device by the SHA-256 of its signing key, the file of its BCert chain, or its folder."""

    name = "device"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the device in base64; click shows what is wrong."""
        file = Path(str(value))
        try:
            if (file / CHAIN_FILE).is_file():
                file /= CHAIN_FILE
            if file.is_file():
                return device_id(parse_chain(file.read_bytes()).leaf)
            return parse_device(str(value))
        except InvalidMessage as error:
            self.fail(error.text, param, ctx)
        except OSError as error:
            self.fail(f"{file} cannot be read: {error.strerror}", param, ctx)
