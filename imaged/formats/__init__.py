"""Formats of disk images: what a file says it is, and what it must not say."""
