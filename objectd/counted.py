"""Blobs and pieces that are on their way to the log, counted until they are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence


def while_counted(
    counter: Counter[bytes], blobs: Sequence[bytes], done: Callable[[OSError | None], None]
) -> Callable[[OSError | None], None]:
    """Count these blobs until the returned callback runs, which then calls `done`."""
    counter.update(blobs)

    def written(error: OSError | None) -> None:
        for blob in blobs:
            counter[blob] -= 1
            if not counter[blob]:
                del counter[blob]
        done(error)

    return written
