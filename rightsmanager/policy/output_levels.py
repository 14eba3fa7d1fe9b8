"""The meaning of output protection levels: published values, and the ranges that clients map.

A licence may have any level of 16 bits. Sources: the published page on output protection levels,
for the values that compliance rules allow and for the behaviour of clients.
"""

from typing import Final

PUBLISHED_LEVELS: Final = {
    "compressed_digital_audio": (100, 150, 200, 250, 300),
    "uncompressed_digital_audio": (100, 150, 200, 250, 300),
    "compressed_digital_video": (400, 500),
    "uncompressed_digital_video": (100, 250, 270, 300),
    "analog_video": (100, 150, 200),
}
"""The allowed levels by field of OutputLevels; 0 sets none."""

_ANY_OUTPUT: Final = "clients pass the content to any output"
_BLOCK: Final = "clients do not pass the content"

_EFFECTS: Final = {
    "compressed_digital_audio": ((100, _ANY_OUTPUT),),
    "uncompressed_digital_audio": (
        (200, _ANY_OUTPUT),
        (250, "clients require HDCP, or SCMS set to CopyNever"),
        (300, "clients require HDCP"),
    ),
    "compressed_digital_video": (),
    "uncompressed_digital_video": (
        (200, _ANY_OUTPUT),
        (250, "clients try to engage HDCP and pass the content without it too"),
        (270, "clients require HDCP, or reduce the resolution in software"),
        (300, "clients require HDCP"),
    ),
    "analog_video": (
        (100, _ANY_OUTPUT),
        (150, "clients require CGMS-A CopyNever where an output has it"),
        (200, "clients require CGMS-A CopyNever"),
    ),
}
"""The highest level of each range and its effect; above the last one content is not passed."""


def find_effect(field: str, level: int) -> str:
    """Return the effect of a level on clients, by field of OutputLevels."""
    return next((effect for highest, effect in _EFFECTS[field] if level <= highest), _BLOCK)
