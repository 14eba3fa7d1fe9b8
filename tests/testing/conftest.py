from tests.testing.lab import lab, world

__all__ = ["lab", "world"]
