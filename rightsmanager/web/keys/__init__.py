"""The key endpoint: content keys for packagers, in the forms that they speak."""
