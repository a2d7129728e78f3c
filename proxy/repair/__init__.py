"""Bringing copies back to where they belong: registers that missed writes, blobs that are missing."""
