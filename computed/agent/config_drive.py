"""A config drive: what the metadata service would say, as an ISO 9660 image with the label that cloud-init looks for.

Names of files are paths such as `openstack/latest/meta_data.json`; they come from Compute, not from a user, and are still
looked at, because they become names. Format: Nova's config drive, version 2.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from core.errors import Refused
from core.real import write_durably

LABEL = "config-2"
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
PARTS_MAX = 5
BYTES_MAX = 8 << 20


def write_config_drive(path: Path, contents: Mapping[str, str]) -> None:
    """Make the image file. `contents`: base64 by path. Raises Refused."""
    write_durably(path, image_of(decoded(contents)))


def decoded(contents: Mapping[str, str]) -> dict[str, bytes]:
    """Files by path. Raises Refused for a name or contents that cannot be."""
    found = {}
    for name, text in contents.items():
        parts = PurePosixPath(name).parts
        if not 0 < len(parts) <= PARTS_MAX or not all(map(NAME.fullmatch, parts)) or ".." in parts:
            raise Refused("BadName", f"a config drive has no file {name!r}")
        try:
            found[name] = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise Refused("BadContents", f"{name} is not base64") from None
    if sum(map(len, found.values())) > BYTES_MAX:
        raise Refused("TooLong", f"a config drive has at most {BYTES_MAX >> 20} MiB")
    return found


def image_of(files: Mapping[str, bytes]) -> bytes:
    """The image: Rock Ridge and Joliet names beside the short ones of ISO 9660."""
    from pycdlib.pycdlib import PyCdlib

    iso = PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=LABEL)
    short: dict[PurePosixPath, str] = {PurePosixPath("."): ""}
    for number, (name, data) in enumerate(sorted(files.items())):
        path = PurePosixPath(name)
        for directory in reversed(path.parents[:-1]):
            if directory not in short:
                short[directory] = f"{short[directory.parent]}/D{len(short)}"
                iso.add_directory(
                    short[directory], rr_name=directory.name, joliet_path=f"/{directory}"
                )
        iso.add_fp(
            io.BytesIO(data),
            len(data),
            f"{short[path.parent]}/F{number}.;1",
            rr_name=path.name,
            joliet_path=f"/{path}",
        )
    output = io.BytesIO()
    iso.write_fp(output)
    iso.close()
    return output.getvalue()
