"""Checksums: known values, combination of parts, and what headers may say."""

from __future__ import annotations

import base64

import pytest

from proxy.s3 import checksum
from proxy.s3.checksum import ALGORITHMS
from proxy.s3.errors import S3Error

CHECK = {  # of b"123456789", from the catalogues of the algorithms
    "CRC32": "cbf43926",
    "CRC32C": "e3069283",
    "CRC64NVME": "ae8b14860a799888",
    "SHA1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "SHA256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    "MD5": "25f9e794323b453885f5181f1b624d0b",
    "XXHASH64": "8cb841db40e6ae83",
}


def digest(name: str, data: bytes) -> str:
    hasher = ALGORITHMS[name].new()
    hasher.update(data)
    return checksum.encode(hasher.digest())


@pytest.mark.parametrize("name", CHECK)
def test_algorithms_give_their_published_check_values(name):
    """The check value of each algorithm's definition."""
    assert base64.b64decode(digest(name, b"123456789")).hex() == CHECK[name]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_pieces_give_the_same_as_the_whole(name):
    """Hashers are incremental and their digests have the announced size."""
    algorithm = ALGORITHMS[name]
    hasher = algorithm.new()
    for piece in (b"", b"12", b"3456789", b""):
        hasher.update(piece)
    assert checksum.encode(hasher.digest()) == digest(name, b"123456789")
    assert len(hasher.digest()) == algorithm.size


@pytest.mark.parametrize("name", ["CRC32", "CRC32C", "CRC64NVME"])
def test_crcs_of_parts_combine_to_that_of_the_whole(name):
    """A full-object checksum needs no data: parts of any size, empty ones too."""
    parts = [b"a" * 5000, b"", b"b", b"c" * 70_000, b""]
    values = [(digest(name, part), len(part)) for part in parts]
    assert checksum.combined(ALGORITHMS[name], values) == digest(name, b"".join(parts))


def test_a_composite_checksum_is_that_of_the_digests():
    """`<base64>-<parts>`, as the User Guide defines it."""
    values = [digest("SHA256", b"a"), digest("SHA256", b"b")]
    raw = b"".join(base64.b64decode(value) for value in values)
    assert checksum.composite(ALGORITHMS["SHA256"], values) == digest("SHA256", raw) + "-2"


def test_an_upload_announces_a_header_or_a_trailer():
    """Value known at once, or to come."""
    given = checksum.wanted({b"x-amz-checksum-crc32": b"NhCmhg=="})
    assert given is not None
    assert (given.algorithm.name, given.value, given.trailing) == ("CRC32", "NhCmhg==", False)
    later = checksum.wanted({b"x-amz-trailer": b"x-amz-checksum-crc64nvme"})
    assert later is not None
    assert (later.algorithm.name, later.value, later.trailing) == ("CRC64NVME", None, True)
    assert checksum.wanted({b"x-amz-checksum-mode": b"ENABLED"}) is None


@pytest.mark.parametrize(
    "headers",
    [
        {b"x-amz-checksum-crc32": b""},
        {b"x-amz-checksum-crc32": b"NhCmhg"},
        {b"x-amz-checksum-crc32": b"AAAAAAAAAAA="},
        {b"x-amz-checksum-crc32": b"\xff"},
        {b"x-amz-checksum-crc99": b"NhCmhg=="},
        {b"x-amz-checksum-crc32": b"NhCmhg==", b"x-amz-checksum-sha1": b"x"},
        {b"x-amz-checksum-crc32": b"NhCmhg==", b"x-amz-trailer": b"x-amz-checksum-crc32"},
        {b"x-amz-trailer": b"x-amz-meta-a"},
        {b"x-amz-trailer": b"x-amz-checksum-crc99"},
        {b"x-amz-sdk-checksum-algorithm": b"CRC32"},
        {b"x-amz-sdk-checksum-algorithm": b"nope"},
        {b"x-amz-sdk-checksum-algorithm": b"SHA1", b"x-amz-checksum-crc32": b"NhCmhg=="},
    ],
)
def test_contradicting_headers_are_refused(headers):
    """Malformed values, several algorithms, announcements without a value: InvalidRequest."""
    with pytest.raises(S3Error) as caught:
        checksum.wanted(headers)
    assert caught.value.code == "InvalidRequest"


def test_only_some_algorithms_have_each_type():
    """CRC64NVME is full-object only, digests are composite only."""
    kinds = {name: algorithm.types for name, algorithm in ALGORITHMS.items()}
    assert kinds["CRC64NVME"] == ("FULL_OBJECT",)
    assert kinds["SHA256"] == ("COMPOSITE",)
    assert checksum.multipart_type(ALGORITHMS["CRC32"], None) == "COMPOSITE"
    assert checksum.multipart_type(ALGORITHMS["CRC32"], "full_object") == "FULL_OBJECT"
    with pytest.raises(S3Error):
        checksum.multipart_type(ALGORITHMS["SHA1"], "FULL_OBJECT")
