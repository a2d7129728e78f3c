"""Bytes on disk and wire, written out: a change here is a change of a format, and of docs/formats."""

from __future__ import annotations

import re
from pathlib import Path

import xxhash

from core import frame as framing
from core.frame import Frame
from core.link import LOST
from objectd import record as records
from objectd import rows, wire
from objectd.log import GROUP_MARK
from objectd.record import Place
from objectd.rows import BlobRow, RegisterRow, StatsRow, Tally

DOCS = Path(__file__).parents[3] / "docs" / "formats"
BALLOT = bytes.fromhex("00000001" + "0000000000000002" + "00000003")


def test_the_header_of_a_record() -> None:
    """Magic, kind, version, lengths, clock, zero, checksum, key, head."""
    data = records.encode_prefix(records.FENCE, b"k" * 16, b"\0\0\0\7", 0, 0x1122334455667788)
    assert data.hex() == (
        "52534c47" "04" "01" "1000" "04000000" "00000000" "8877665544332211" "0000000000000000"
        "fcbd886a485cd4275156bf31cf352093" + "6b" * 16 + "00000007"
    )  # fmt: skip
    assert len(GROUP_MARK) == 48


def test_the_rows_of_the_index() -> None:
    """Fixed parts, in the order of the document."""
    register = RegisterRow(BALLOT, 1, 2, 3, b"d" * 16, Place(4, 5, 6), 2, 1, 9, b"", b"ss", b"m")
    packed = rows.pack_register(register)
    assert packed[-8:] == xxhash.xxh3_64_digest(packed[:-8])
    assert packed[:-8].hex() == (
        BALLOT.hex() + "01" "0000000000000002" "0000000000000003" + "64" * 16
        + "00000004" "0000000000000005" "00000006" "0000" "0002" "00000001" "00000009" "7373" "6d"
    )  # fmt: skip
    blob = BlobRow(Place(1, 2, 3), 4, 5, 6, 7, 8, bad=True, stamp=9)
    assert rows.pack_blob(blob).hex() == (
        "00000001" "0000000000000002" "00000003" "00000004" "00000005" "0000000000000006"
        "0007" "00000008" "01" "00000009"
    )  # fmt: skip
    stats = StatsRow(1, 2, b"d" * 16, BALLOT, 3, 4, b"f" * 16)
    assert rows.pack_stats(stats).hex() == (
        "0000000000000001" "0000000000000002" + "64" * 16 + BALLOT.hex()
        + "0000000000000003" "0000000000000004" + "66" * 16
    )  # fmt: skip
    tally = Tally(1, 2, b"d" * 16)
    assert rows.pack_tally(tally).hex() == "00000000000000010000000000000002" + "64" * 16
    assert rows.piece_tally_key(1, 2, 3).hex() == "5000010000000203"
    assert rows.range_tally_key(2).hex() == "5100000002"
    assert rows.blob_key(2, b"b" * 16, 3).hex() == "4200000002" + "62" * 16 + "03"
    assert rows.stats_key(2, b"r" * 16).hex() == "5300000002" + "72" * 16


def test_the_header_of_a_frame() -> None:
    """Lengths, call, epoch, device, operation, status."""
    frame = Frame(0x01020304, 0x0A, 0x05, 0x0B, 0x0C, b"hh", b"bbb")
    assert framing.encode_header(frame).hex() == (
        "02000000" "03000000" "04030201" "0c000000" "0b000000" "0a" "05" "0000"
    )  # fmt: skip
    assert framing.hello(bytes(32))[:5] == b"RSTK\x01"


def test_a_page_of_a_listing() -> None:
    """Rows put together by hand are the msgpack of their structs."""
    decode = wire.page_decoder(str).decode
    plain = wire.encode_row(b"name", BALLOT, 1, b"\xa1s", b"")
    prefix = wire.encode_row(b"a/", BALLOT, 1, b"", b"a/b")
    page = wire.encode_page([plain, prefix], truncated=True, digest=b"d" * 16)
    assert decode(page) == wire.Page(
        [wire.Row("name", BALLOT, 1, "s"), wire.Row("a/", BALLOT, 1, None, "a/b")], True, b"d" * 16
    )


def test_the_documents_name_every_operation_kind_and_status() -> None:
    """With the numbers that the code uses."""
    frame = (DOCS / "frame.md").read_text()
    operations = [
        "PREPARE",
        "ACCEPT",
        "READ",
        "FENCE",
        "LIST",
        "STATS",
        "EXPIRED",
        "RANGES",
        "PUT_BLOB",
        "GET_BLOB",
    ]
    operations += ["DROP_BLOBS", "BLOBS", "HAVE", "STATUS", "PARTITIONS", "RANGE_PARTITIONS"]
    operations += ["DROP_PIECES", "DAMAGES", "FLOOR", "TOMBSTONES", "HOLDS", "RECLAIM"]
    operations += ["GENERATION", "BEGIN_SWEEP", "NAMING", "END_SWEEP", "TOUCH"]
    statuses = ["OK", "REFUSED", "STALE", "ABSENT", "FULL", "CORRUPT", "FAILED", "BAD", "LATE"]
    for name in operations + statuses:
        assert f"| {getattr(wire, name)} | {name} |" in frame
    assert f"| {LOST} | LOST |" in frame
    log = (DOCS / "log.md").read_text()
    kinds = ["BLOB", "REGISTER", "CEILING", "FENCE", "DROP", "GROUP", "DROP_PIECES"]
    for name in [*kinds, "FLOOR", "FORGET", "GENERATION", "TOUCH"]:
        assert f"| {getattr(records, name)} | {name} |" in log
    index = (DOCS / "index.md").read_text()
    sizes = [int(size) for size in re.findall(r"(?:row|Tally) \((\d+) bytes", index)]
    assert sizes == [rows._REGISTER.size, rows._BLOB.size, rows._STATS.size, rows._TALLY.size]
