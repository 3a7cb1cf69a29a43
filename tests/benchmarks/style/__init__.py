"""The board of stylization: `make bench-style DATA=DIR`."""
