"""SQL tables of the image service."""
