"""A tiny guest for demonstrations and tests, made on the spot from Debian's packages."""
