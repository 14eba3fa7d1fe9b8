"""P-256, AES and key derivation on bytes; nothing here is specific to PlayReady."""
