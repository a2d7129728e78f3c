"""The ring directory on disk: epochs, and the draft beside them.

The only file of this package that touches the operating system. A file is replaced atomically and
durably (temporary file, fsync, rename, fsync of the directory), an epoch once written is never
changed, and writers take a lock, so that two operators cannot write different epochs of one number.
Epoch files are mapped, not read: all processes of a machine share their pages.
"""

from __future__ import annotations

import fcntl
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import Bug, Conflict, Corrupt, NotFound
from core.real import write_durably
from ring.draft import Draft, decode_draft, encode_draft
from ring.epoch import Epoch
from ring.file import decode_epoch, encode_epoch
from ring.goal import (
    Goal,
    Throttle,
    decode_goal,
    decode_throttle,
    encode_goal,
    encode_throttle,
)
from ring.history import Newest, epoch_number, epoch_numbers, file_name, newest

DRAFT_NAME = "builder.json"
GOAL_NAME = "goal.json"
THROTTLE_NAME = "throttle.json"
LOCK_NAME = ".lock"
FILE_MODE = 0o644  # a ring holds no secret; services of other users may read it

EPOCHS_KEPT = 16


class RingStore:
    """Epochs and the draft under one directory, usually `<data>/ring`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def numbers(self) -> list[int]:
        """Numbers of the stored epochs, ascending; empty when the directory is missing."""
        if not self.directory.is_dir():
            return []
        return epoch_numbers(path.name for path in self.directory.iterdir())

    def load(self, number: int) -> Epoch:
        """The epoch of that number. Raises NotFound, or Corrupt naming the file."""
        path = self.directory / file_name(number)
        epoch = load_epoch(path)
        if epoch.number != number:
            raise Corrupt("CorruptRing", f"{path}: holds epoch {epoch.number}")
        return epoch

    def newest(self) -> Newest:
        """The current epoch and the damage found in newer files."""
        return newest(self.numbers(), self.load)

    def current(self) -> Epoch | None:
        """The valid epoch with the highest number, or None."""
        return self.newest().epoch

    def write(self, epoch: Epoch) -> Path:
        """Store an epoch durably. Raises Conflict when another one has its number already."""
        path = self.directory / file_name(epoch.number)
        if epoch_number(path.name) != epoch.number:
            raise Bug("RingFileName", f"{path.name} does not name epoch {epoch.number}")
        data = encode_epoch(epoch)
        if path.exists() and self._whole(epoch.number):
            if path.read_bytes() == data:
                return path
            raise Conflict("EpochExists", f"{path} holds a different epoch {epoch.number}")
        self.directory.mkdir(parents=True, exist_ok=True)
        write_durably(path, data, FILE_MODE)
        return path

    def _whole(self, number: int) -> bool:
        try:
            self.load(number)
        except Corrupt:
            return False
        return True

    def keep(self, epoch: Epoch) -> None:
        """Store an epoch that another node told us of; older ones than the last few are removed."""
        self.write(epoch)
        for number in self.numbers()[:-EPOCHS_KEPT]:
            (self.directory / file_name(number)).unlink(missing_ok=True)

    def has_draft(self) -> bool:
        """Whether `ring create` was run here."""
        return (self.directory / DRAFT_NAME).exists()

    def draft(self) -> Draft:
        """The wanted state. Raises NotFound before `ring create`, or Corrupt."""
        path = self.directory / DRAFT_NAME
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise NotFound("NoRing", f"there is no ring in {self.directory}") from None
        return decode_draft(data, str(path))

    def write_draft(self, draft: Draft) -> None:
        """Replace the wanted state durably."""
        self.directory.mkdir(parents=True, exist_ok=True)
        write_durably(self.directory / DRAFT_NAME, encode_draft(draft), FILE_MODE)

    def goal(self) -> Goal | None:
        """Where the cluster is on its way to; None when it has arrived. Raises Corrupt."""
        path = self.directory / GOAL_NAME
        try:
            return decode_goal(path.read_bytes(), str(path))
        except FileNotFoundError:
            return None

    def write_goal(self, goal: Goal) -> None:
        """Set out for another ring, durably."""
        write_durably(self.directory / GOAL_NAME, encode_goal(goal), FILE_MODE)

    def end_goal(self) -> None:
        """The cluster has arrived, or does not go on."""
        (self.directory / GOAL_NAME).unlink(missing_ok=True)

    def throttle(self) -> Throttle:
        """How fast data may move. Raises Corrupt."""
        path = self.directory / THROTTLE_NAME
        try:
            return decode_throttle(path.read_bytes(), str(path))
        except FileNotFoundError:
            return Throttle()

    def write_throttle(self, throttle: Throttle) -> None:
        """Let data move at another rate, durably."""
        write_durably(self.directory / THROTTLE_NAME, encode_throttle(throttle), FILE_MODE)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers out. Raises Conflict when one is at work."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / LOCK_NAME).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Conflict(
                    "RingLocked", "another command is changing this ring; try again"
                ) from None
            yield


def load_epoch(path: Path) -> Epoch:
    """Map and verify one ring file. Raises NotFound, or Corrupt naming the file."""
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise NotFound("NoEpoch", f"{path} does not exist") from None
    except ValueError as error:
        raise Corrupt("CorruptRing", f"{path}: empty") from error
    return decode_epoch(memoryview(data), str(path))
