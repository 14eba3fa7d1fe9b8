"""Formats in which packagers request content keys, apart from AcquirePackagingData."""
