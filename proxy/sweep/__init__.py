"""Garbage: tombstones that nobody needs any more, blobs that nothing names."""
