"""Bytes in, bytes out: P-256, AES and key derivation; knows no PlayReady."""
