"""PlayReady's bytes and XML to and from frozen values; no socket, clock, database or settings."""
