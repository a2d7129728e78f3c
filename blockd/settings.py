"""What an operator may set about block storage, in `DATA/policy/block-settings.json`.

`backup_target` sends backups to a bucket of any S3 service instead of this cloud's own object store. The file then holds
a secret, so nobody but its owner may read it. An unknown name or a value of the wrong type stops the start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from core.errors import Corrupt

FILE = "block-settings.json"
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Endpoint = Annotated[str, msgspec.Meta(pattern=r"^https?://[A-Za-z0-9.\[\]:-]{1,255}/?$")]
Bucket = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]


class BackupTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bucket of an S3 service, addressed by path."""

    endpoint: Endpoint
    bucket: Bucket
    access_key: Text
    secret_key: Text
    region: Text = "us-east-1"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where backups go; None is this cloud's object store."""

    backup_target: BackupTarget | None = None


def load(path: Path) -> Settings:
    """The settings in a file; defaults when there is none. Raises Corrupt."""
    try:
        settings = msgspec.json.decode(path.read_bytes(), type=Settings)
        open_to_others = path.stat().st_mode & 0o077
    except FileNotFoundError:
        return Settings()
    except msgspec.MsgspecError as error:
        raise Corrupt("BadSettings", f"{path}: {error}") from None
    if settings.backup_target is not None and open_to_others:
        raise Corrupt("OpenSecrets", f"{path} can be read by others: chmod 600 it")
    return settings
