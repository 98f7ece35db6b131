"""How long the things take that users wait for: `make bench`."""
