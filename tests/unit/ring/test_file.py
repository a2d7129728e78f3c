from __future__ import annotations

import struct

import pytest
import xxhash

from core.errors import Corrupt
from ring.build import build
from ring.file import ALIGNMENT, MAGIC, decode_epoch, encode_epoch
from tests.model import rings

EPOCH = build(rings.draft(rings.devices(1, 4, 1), widths=(3, 2), overload=0.5), None).epoch
DATA = encode_epoch(EPOCH)


def forge(position: int, patch: bytes) -> bytes:
    """The file with other bytes and a checksum that matches them."""
    body = bytearray(DATA[:-16])
    body[position : position + len(patch)] = patch
    return bytes(body) + xxhash.xxh3_128_digest(bytes(body))


def test_the_header_is_laid_out_as_documented() -> None:
    """docs/formats/ring.md, field by field."""
    head = struct.unpack_from("<8sHBBHHQQQQ", DATA)
    assert head[:8] == (MAGIC, 2, 6, 3, 3, 0, 1, 7)
    assert head[9] == len(DATA)
    entries = [struct.unpack_from("<HHIQ", DATA, 48 + 16 * index) for index in range(3)]
    assert [entry[:3] for entry in entries] == [(2, 0, 0), (3, 0, 0), (3, 1, 0)]
    assert all(entry[3] % ALIGNMENT == 0 for entry in entries)
    assert DATA[entries[1][3] :][: 64 * 3 * 2] == EPOCH.tables[3].tobytes()
    assert DATA[entries[2][3] :][: 64 * 4] == EPOCH.since.tobytes()
    assert DATA[-16:] == xxhash.xxh3_128_digest(DATA[:-16])


def test_the_tables_are_views_and_not_copies() -> None:
    """A mapped file stays in the page cache, shared by all processes."""
    buffer = bytearray(DATA)
    epoch = decode_epoch(memoryview(buffer), "ring")
    assert epoch.tables[3].obj is buffer
    assert epoch.tables[3].readonly


@pytest.mark.parametrize(
    ("position", "patch", "message"),
    [
        (0, b"X", "not a ring file"),
        (8, b"\x03\x00", "version 3"),
        (10, b"\xff", "out of range"),
        (11, b"\x00", "index replicas"),
        (12, b"\xff\xff", "description"),
        (12, b"\x02\x00", ""),
        (14, b"\x03", "out of range"),
        (16, b"\x00" * 8, "number 0"),
        (32, b"\xff" * 8, "description"),
        (40, b"\x00" * 8, "header says 0"),
        (48, b"\x63\x00", "table entry"),
        (48, b"\x04\x00", ""),
        (56, b"\x01", "out of order"),
        (96, b"]", ""),
        (len(DATA) - 16 - 64 * 10, b"\xff\xff", "not listed"),
    ],
)
def test_each_field_is_checked_even_under_a_valid_checksum(
    position: int, patch: bytes, message: str
) -> None:
    """The error names the file and says what is wrong."""
    with pytest.raises(Corrupt, match=f"ring-7.*{message}") as caught:
        decode_epoch(forge(position, patch), "ring-7")
    assert caught.value.code == "CorruptRing"


def test_what_moved_is_part_of_the_file() -> None:
    """A joint epoch and its stable one come back with the sources and configs of their partitions."""
    draft = rings.draft(rings.devices(1, 5, 1), widths=(3, 2))
    change = build(draft.without_device(2), build(draft, None).epoch)
    assert change.joint is not None
    for epoch in (change.joint, change.epoch):
        again = decode_epoch(encode_epoch(epoch), "ring")
        assert again.joint == epoch.joint
        assert again.since.tolist() == epoch.since.tolist()
        assert again.sources.keys() == epoch.sources.keys() == {2, 3}
        for move in change.moves:
            source = again.source(move.partition, move.width)
            assert source is not None
            assert (source.replica, source.device.id) == (move.replica, move.source)


def test_a_wrong_checksum_is_refused() -> None:
    """Before any field behind the header is looked at."""
    with pytest.raises(Corrupt, match="checksum"):
        decode_epoch(DATA[:-1] + bytes([DATA[-1] ^ 1]), "ring")
