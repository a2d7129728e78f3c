"""The storage node: append-only log, derived index, blobs and registers."""
