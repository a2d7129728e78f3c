"""The aws-chunked decoder: Amazon's examples, every cut, every way to lie."""

from __future__ import annotations

import pytest

from proxy.s3 import chunked, sigv4
from proxy.s3.chunked import Chain, Decoder
from proxy.s3.errors import S3Error

KEY = sigv4.signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1", "s3")
STAMP, SCOPE = "20130524T000000Z", "20130524/us-east-1/s3/aws4_request"
PLAIN = b"a" * 66_560
CHUNKS = (
    b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n",
    b"a" * 65_536 + b"\r\n",
    b"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n",
    b"a" * 1024 + b"\r\n",
    b"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n",
    b"\r\n",
)
TRAILER_CHUNKS = (
    b"10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n",
    b"a" * 65_536 + b"\r\n",
    b"400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n",
    b"a" * 1024 + b"\r\n",
    b"0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n",
    b"x-amz-checksum-crc32c:sOO8/Q==\r\n",
    b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n",
    b"\r\n",
)
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
TRAILER_SEED = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
UNSIGNED = b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n"
CRC32 = frozenset({"x-amz-checksum-crc32"})


def signed(length=66_560) -> Decoder:
    chain = Chain(KEY, STAMP, SCOPE, SEED)
    return Decoder(chunked.SIGNED, length, chain=chain, announced=frozenset())


def with_trailer(announced=frozenset({"x-amz-checksum-crc32c"})) -> Decoder:
    chain = Chain(KEY, STAMP, SCOPE, TRAILER_SEED)
    return Decoder(chunked.SIGNED_TRAILER, 66_560, chain=chain, announced=announced)


def unsigned(length=11, announced=CRC32) -> Decoder:
    return Decoder(chunked.UNSIGNED_TRAILER, length, chain=None, announced=announced)


def decode(decoder: Decoder, *bodies: bytes) -> bytes:
    pieces = []
    for body in bodies:
        pieces += decoder.feed(body)
    decoder.finish()
    return b"".join(pieces)


def refusal(decoder: Decoder, *bodies: bytes) -> str:
    with pytest.raises(S3Error) as caught:
        decode(decoder, *bodies)
    return caught.value.code


def test_amazons_signed_example_decodes():
    """The chunk signatures printed in the API reference verify."""
    assert decode(signed(), b"".join(CHUNKS)) == PLAIN


def test_amazons_trailer_example_decodes():
    """So does the trailer's signature, and the trailer is handed over."""
    decoder = with_trailer()
    assert decode(decoder, b"".join(TRAILER_CHUNKS)) == PLAIN
    assert decoder.trailers == {"x-amz-checksum-crc32c": "sOO8/Q=="}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_the_size_of_the_pieces_does_not_matter(size):
    """The decoder is incremental: any split of the body gives the same bytes."""
    body = b"".join(TRAILER_CHUNKS)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    assert decode(with_trailer(), *pieces) == PLAIN


def test_a_body_cut_at_any_byte_is_incomplete():
    """CVE-2026-49017: a truncated body must end the request, at whatever byte it was cut."""
    for cut in range(len(UNSIGNED)):
        assert refusal(unsigned(), UNSIGNED[:cut]) == "IncompleteBody"
    assert decode(unsigned(), UNSIGNED) == b"hello world"


def test_a_signed_body_cut_around_any_line_is_incomplete():
    """The same for signed chunks with a trailer (every byte of every line, some of the data)."""
    body = b"".join(TRAILER_CHUNKS)
    cuts = {cut for cut in range(len(body)) if not 200 < cut < 65_000 and cut % 3 == 0}
    cuts |= set(range(len(body) - 200, len(body)))
    for cut in cuts:
        assert refusal(with_trailer(), body[:cut]) == "IncompleteBody"


@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_wrong_chunk_signature_is_refused(at):
    """Also that of the last, empty chunk."""
    chunks = list(CHUNKS)
    chunks[at] = chunks[at].replace(b"=", b"=0", 1)
    assert refusal(signed(), *chunks) == "SignatureDoesNotMatch"


def test_changed_data_is_refused_at_the_end_of_its_chunk():
    """One flipped bit anywhere in a chunk's data."""
    chunks = list(CHUNKS)
    chunks[3] = b"b" + chunks[3][1:]
    assert refusal(signed(), *chunks) == "SignatureDoesNotMatch"


def test_chunks_cannot_be_swapped_dropped_or_repeated():
    """Each signature continues the one before."""
    first, second, end = CHUNKS[:2], CHUNKS[2:4], CHUNKS[4:]
    assert refusal(signed(), *second, *first, *end) == "SignatureDoesNotMatch"
    assert refusal(signed(1024), *second, *end) == "SignatureDoesNotMatch"
    assert refusal(signed(), *first, *end) == "SignatureDoesNotMatch"


def test_a_signed_mode_takes_no_unsigned_chunk():
    """A chunk without its signature is malformed, not trusted."""
    assert refusal(signed(5), b"5\r\nhello\r\n0\r\n\r\n") == "InvalidRequest"


@pytest.mark.parametrize(
    ("trailer", "code"),
    [
        (b"x-amz-trailer-signature:" + b"0" * 64 + b"\r\n", "SignatureDoesNotMatch"),
        (b"", "SignatureDoesNotMatch"),
    ],
)
def test_a_trailer_must_be_signed(trailer, code):
    """With a wrong signature or none at all."""
    assert refusal(with_trailer(), *TRAILER_CHUNKS[:6], trailer, b"\r\n") == code


def test_a_changed_trailer_is_refused():
    """The trailer's value is under its signature."""
    chunks = list(TRAILER_CHUNKS)
    chunks[5] = b"x-amz-checksum-crc32c:AAAAAA==\r\n"
    assert refusal(with_trailer(), *chunks) == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    "tail",
    [
        b"\r\n",
        b"x-amz-checksum-sha1:AAAA\r\n\r\n",
        b"x-amz-checksum-crc32:a\r\nx-amz-checksum-crc32:b\r\n\r\n",
        b"x-amz-checksum-crc32:a\r\nx-amz-meta-a:b\r\n\r\n",
        b"x-amz-checksum-crc32\r\n\r\n",
        b":x\r\n\r\n",
        b"x-amz-checksum-crc32:\xff\r\n\r\n",
        b"x-amz-checksum-crc32:a\r\nx-amz-trailer-signature:b\r\n\r\n",
        b"".join(b"x-%d:y\r\n" % n for n in range(40)) + b"\r\n",
    ],
)
def test_a_trailer_must_be_what_was_announced(tail):
    """Missing, other, repeated, additional and malformed trailers."""
    assert refusal(unsigned(), b"b\r\nhello world\r\n0\r\n" + tail) == "MalformedTrailerError"


@pytest.mark.parametrize(
    "body",
    [
        b"\r\n",
        b"g\r\n",
        b"-5\r\nhello",
        b"0x5\r\nhello",
        b"+5\r\nhello",
        b" 5\r\nhello",
        b"5 \r\nhello",
        b"5\nhello\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"0" * 17 + b"\r\n",
        b"5;" + b"x" * 5000,
    ],
)
def test_malformed_framing_is_refused(body):
    """Sizes are plain hexadecimal, lines end in CR LF and are short."""
    assert refusal(unsigned(), body) == "InvalidRequest"


def test_more_or_less_than_announced_is_incomplete():
    """x-amz-decoded-content-length binds the sum of the chunks, before data is taken."""
    assert refusal(unsigned(10), UNSIGNED) == "IncompleteBody"
    assert refusal(unsigned(12), UNSIGNED) == "IncompleteBody"
    assert refusal(unsigned(11), b"ffffffffffffffff\r\n") == "IncompleteBody"


def test_nothing_may_follow_the_end():
    """Bytes after the last line are not ignored."""
    assert refusal(unsigned(), UNSIGNED + b"x") == "IncompleteBody"


def test_an_empty_body_is_one_empty_chunk():
    """Zero bytes of data still carry the trailer."""
    empty = b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    assert decode(unsigned(0), empty) == b""


@pytest.mark.parametrize("value", [b"", b"x", b"-1", b"1.0", b"9" * 30])
def test_a_malformed_decoded_length_is_refused(value):
    """The header is a plain number of bytes."""
    with pytest.raises(S3Error):
        chunked.decoded_length(value)
    with pytest.raises(S3Error) as caught:
        chunked.decoded_length(None)
    assert caught.value.status == 411
