"""The keys that seal tokens: files that every service of the machine reads, rotated without a gap.

`DATA/keys/token/N` holds 32 bytes in hexadecimal. The highest number is the primary (it seals), 0 is staged (it
becomes the next primary), the others are secondary (they still open). Because the staged key has been
read by everybody before it seals, a rotation refuses nobody's token.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from core.bearer import KEY_BYTES, Key, key_of
from core.env import Env
from core.errors import Corrupt
from core.real import make_directory, write_durably

log = logging.getLogger("ringstack.keys")

LOOK_EVERY_S = 0.5
KEPT = 4  # staged, primary and two secondaries


class Keyring:
    """The keys of an installation as one process knows them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.keys: dict[bytes, Key] = {}
        self.primary: Key | None = None
        self.generation = 0  # how often the keys were read
        self._seen_ns = -1

    def load(self) -> None:
        """Read all keys. Raises Corrupt when there is none, or one is damaged or open to others."""
        keys: dict[int, Key] = {}
        seen_ns = self.directory.stat().st_mtime_ns if self.directory.is_dir() else -1
        for number, path in numbered(self.directory).items():
            if path.stat().st_mode & 0o077:
                raise Corrupt("OpenKey", f"{path} can be read by others: chmod 600 it")
            try:
                keys[number] = key_of(bytes.fromhex(path.read_text().strip()))
            except (ValueError, AssertionError):
                raise Corrupt("BadKey", f"{path} holds no key") from None
        if not keys:
            raise Corrupt("NoKeys", f"there are no token keys in {self.directory}")
        self.primary = keys[max(keys)]
        self.keys = {key.print: key for key in keys.values()}
        self.generation += 1
        self._seen_ns = seen_ns

    def reload_if_changed(self) -> bool:
        """Read again when the directory has changed since; True when it was."""
        try:
            changed = self.directory.stat().st_mtime_ns != self._seen_ns
        except FileNotFoundError:
            return False
        if changed:
            self.load()
        return changed


async def follow(keyring: Keyring) -> None:
    """Notice rotations within a second, for ever."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            keyring.reload_if_changed()
        except (
            Corrupt,
            OSError,
        ) as error:  # half-way through a rotation, or damaged: keep what is known
            log.warning("the token keys could not be read again: %s", error)


async def loaded(directory: Path, timeout_s: float) -> Keyring:
    """The keys of a directory that another process may only just be making. Raises Corrupt as `load`."""
    keyring = Keyring(directory)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while not (directory / "0").exists() and loop.time() < deadline:  # noqa: ASYNC110 - a file
        await asyncio.sleep(0.02)
    keyring.load()
    return keyring


def numbered(directory: Path) -> dict[int, Path]:
    """Key files by number."""
    if not directory.is_dir():
        return {}
    return {int(path.name): path for path in directory.iterdir() if path.name.isdigit()}


def create(directory: Path, env: Env) -> None:
    """Make the first staged and primary key, unless there are keys."""
    make_directory(directory)
    if not numbered(directory):
        _write(directory / "1", env)
        _write(directory / "0", env)


def rotate(directory: Path, env: Env, kept: int = KEPT) -> int:
    """The staged key becomes primary, a new one is staged, the oldest beyond `kept` go.

    Returns the number of the new primary. Tokens sealed by a key that goes are refused from then on.
    """
    numbers = numbered(directory)
    primary = max(numbers, default=0) + 1
    staged = numbers.get(0)
    if staged is None:
        _write(directory / "0", env)
        staged = directory / "0"
    staged.rename(directory / str(primary))
    _write(directory / "0", env)
    numbers = numbered(directory)
    for number in sorted(number for number in numbers if number)[: max(0, len(numbers) - kept)]:
        numbers[number].unlink()
    return primary


def _write(path: Path, env: Env) -> None:
    write_durably(path, env.random_bytes(KEY_BYTES).hex().encode() + b"\n")
