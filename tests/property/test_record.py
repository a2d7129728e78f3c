"""Records of the log: what was written is read back, and anything else is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.checksum import SUM_BYTES, block_sums, sums_match
from core.errors import Corrupt
from core.limits import SUM_BLOCK_BYTES
from objectd import record as records
from objectd import wire
from objectd.record import BlobHead, RegisterHead

kinds = st.sampled_from(sorted(records.KINDS))
keys = st.binary(max_size=60)
heads = st.binary(max_size=120)
clocks = st.integers(0, 2**64 - 1)


@given(kinds, keys, heads, st.integers(0, 2**32 - 1), clocks)
def test_a_prefix_is_read_back(kind: int, key: bytes, head: bytes, size: int, at_us: int) -> None:
    """Round trip of the fixed header, the key and the head."""
    data = records.encode_prefix(kind, key, head, size, at_us)
    header = records.decode_header(data)
    assert header[:5] == (kind, len(key), len(head), size, at_us)
    assert header.total == len(data) + size
    assert records.check_prefix(data + b"whatever follows", header) == (key, head)


@given(kinds, keys, heads, st.data())
def test_any_flipped_bit_is_noticed(
    kind: int, key: bytes, head: bytes, data: st.DataObject
) -> None:
    """Header, key and head are one checksummed whole."""
    prefix = bytearray(records.encode_prefix(kind, key, head, 1000, 7))
    bit = data.draw(st.integers(0, len(prefix) * 8 - 1))
    prefix[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Corrupt):
        records.check_prefix(bytes(prefix), records.decode_header(bytes(prefix)))


@given(kinds, keys, heads, st.data())
def test_any_torn_prefix_is_noticed(
    kind: int, key: bytes, head: bytes, data: st.DataObject
) -> None:
    """A prefix that ends early is no record, whatever its length says."""
    prefix = records.encode_prefix(kind, key, head, 0, 7)
    cut = data.draw(st.integers(0, len(prefix) - 1))
    with pytest.raises(Corrupt):
        records.check_prefix(prefix[:cut], records.decode_header(prefix[:cut]))


@given(st.binary(max_size=300))
def test_garbage_is_no_record(data: bytes) -> None:
    """Whatever is not a record is Corrupt and nothing else."""
    with pytest.raises(Corrupt):
        records.check_prefix(data, records.decode_header(data))


@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_register_body_is_covered_by_its_head(body: bytes, data: st.DataObject) -> None:
    """The digest in the head finds every flipped bit and every missing byte."""
    head = records.encode_head(RegisterHead(bytes(16), 1, 2, 3, wire.digest_of(body), 0, len(body)))
    header = records.decode_header(
        records.encode_prefix(records.REGISTER, b"k", head, len(body), 0)
    )
    assert records.body_matches(header, head, body)
    assert not records.body_matches(header, head, body[:-1])
    spoiled = bytearray(body)
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    spoiled[bit // 8] ^= 1 << bit % 8
    assert not records.body_matches(header, head, bytes(spoiled))


@given(st.integers(0, 3 * SUM_BLOCK_BYTES), st.data())
def test_a_blob_body_is_covered_block_by_block(size: int, data: st.DataObject) -> None:
    """One sum for each block, the last short; any flipped bit shows in its own block's sum."""
    body = bytearray(size)
    sums = block_sums(body)
    assert len(sums) == -(-size // SUM_BLOCK_BYTES) * SUM_BYTES
    head = records.encode_head(BlobHead(bytes(16), size, sums))
    header = records.decode_header(records.encode_prefix(records.BLOB, b"k", head, size, 0))
    assert records.body_matches(header, head, bytes(body))
    if not size:
        return
    at = data.draw(st.integers(0, size - 1))
    body[at] ^= 1 << data.draw(st.integers(0, 7))
    assert not sums_match(body, sums)
    block = at // SUM_BLOCK_BYTES
    for number in range(len(sums) // SUM_BYTES):
        part = body[number * SUM_BLOCK_BYTES : (number + 1) * SUM_BLOCK_BYTES]
        own = sums[number * SUM_BYTES : (number + 1) * SUM_BYTES]
        assert sums_match(part, own) == (number != block)
