"""SQL tables of block storage."""
