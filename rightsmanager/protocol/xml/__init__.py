"""The XML layer of the protocol."""
