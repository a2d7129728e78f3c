"""Parsers of disk images and of the Image API's requests never fall over, whatever they are given."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from core.api.fault import Fault
from core.api.query import Query
from core.errors import Refused
from imaged import listing
from imaged.addresses import check, check_literal, embedded, place
from imaged.attributes import split
from imaged.content import data_runs
from imaged.formats.detect import detect, refusal
from imaged.formats.finding import READ_BYTES_MAX, VIRTUAL_BYTES_MAX, Finding
from imaged.metadef_schemas import CHECK_NAMESPACE
from imaged.patch import KINDS, parse, pointed
from imaged.screening import LOOK_COUNT_MAX
from tests import disk_images as made

SEEDS = [
    made.qcow2(),
    made.qcow2(backing=b"/etc/passwd"),
    made.qcow2(extension=(0x44415441, b"/etc/passwd")),
    made.vmdk(made.DESCRIPTOR),
    made.DESCRIPTOR.encode(),
    made.vhd_footer(3, offset=512) + b"cxsparse".ljust(1024, b"\0") + made.vhd_footer(3),
    bytes(4096) + made.vhd_footer(2),
    b"vhdxfile".ljust(192 << 10, b"\0") + b"regi" + bytes(70_000),
    bytes(64) + b"\x7f\x10\xda\xbe" + bytes(600),
    made.iso(64 << 10),
    made.partitioned(4096),
    made.tar("a.ovf"),
    b"LUKS\xba\xbe\0\1".ljust(4096, b"\0"),
]


def outcome(work: Callable[[], object], *statuses: int) -> object:
    """What it returns, or None when it is refused with one of these statuses."""
    try:
        return work()
    except Fault as fault:
        status = fault.status
    assert status in statuses
    return None


def bounded(data: bytes) -> Finding:
    """Run the parsers as the screening does, and hold them to their bounds."""
    parser = detect(len(data))
    try:
        need = next(parser)
        for _ in range(LOOK_COUNT_MAX):
            assert need.offset >= 0
            assert 0 <= need.length <= READ_BYTES_MAX
            need = parser.send(data[need.offset : need.offset + need.length])
    except StopIteration as done:
        finding: Finding = done.value
        return finding
    raise AssertionError("the parsers ask for ever")


@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 300_000), st.binary(min_size=1, max_size=16)), max_size=8),
    st.integers(0, 300_000),
)
def test_mangled_images_are_found_to_be_something(
    seed: bytes, edits: list[tuple[int, bytes]], cut: int
) -> None:
    """Any bytes, cut anywhere: a finding with a believable size, in a bounded number of looks."""
    data = bytearray(seed)
    for offset, piece in edits:
        place = offset % max(1, len(data))
        data[place : place + len(piece)] = piece
    for version in (bytes(data), bytes(data[:cut])):
        finding = bounded(version)
        size = finding.virtual_size
        assert size is None or 0 <= size <= max(VIRTUAL_BYTES_MAX, len(version))
        for declared in ("raw", "qcow2", "vmdk", None):
            refusal(declared, "bare", finding)


@given(st.binary(max_size=2000))
def test_noise_is_never_a_format_that_a_tool_would_follow(data: bytes) -> None:
    """What passes as raw begins with the magic of no format."""
    if refusal("raw", "bare", bounded(data)) is None:
        assert not data.startswith(
            (b"QFI\xfb", b"KDMV", b"COWD", b"vhdxfile", b"conectix", b"QED\0")
        )


@given(st.lists(st.sampled_from([b"\0", b"x"]), max_size=40), st.integers(0, 4096))
def test_runs_of_data_leave_out_zeros_alone(blocks: list[bytes], tail: int) -> None:
    """Together with zeros for the rest they make the piece again."""
    piece = b"".join(block * 4096 for block in blocks) + b"y" * tail
    rebuilt = bytearray(len(piece))
    last = -1
    for offset, length in data_runs(piece):
        assert offset > last
        last = offset + length
        rebuilt[offset:last] = piece[offset:last]
    assert bytes(rebuilt) == piece
    assert sum(length for _, length in data_runs(piece)) == len(piece) - 4096 * blocks.count(b"\0")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=20,
)
NAMES = st.sampled_from(
    ["name", "tags", "min_ram", "visibility", "id", "protected", "x", "os_glance_x"]
)


@given(st.sampled_from([*KINDS, "application/json", ""]), JSON)
def test_patches_of_any_kind_are_read_or_refused(kind: str, body: object) -> None:
    """A list of changes, or a refusal of 400 to 415."""
    changes = outcome(lambda: parse(kind, body), 400, 403, 415)
    assert changes is None or isinstance(changes, list)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "op": st.sampled_from(["add", "remove", "replace", "move"]),
                "path": st.text(max_size=20),
            },
            optional={"value": JSON},
        ),
        max_size=3,
    )
)
def test_operations_of_any_kind_are_read_or_refused(body: list[dict[str, object]]) -> None:
    """The same, nearer to the mark."""
    changes = outcome(lambda: parse(KINDS[1], body), 400, 403)
    assert changes is None or all(change.name for change in changes)


@given(
    st.lists(
        st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1),
        min_size=1,
        max_size=3,
    )
)
def test_a_pointer_names_what_was_escaped(parts: list[str]) -> None:
    """`~0` and `~1` stand for the two characters that pointers use."""
    parts = [part.strip() for part in parts]
    if not all(parts):
        return
    pointer = "/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in parts)
    assert pointed(pointer) == parts


@given(st.dictionaries(NAMES | st.text(max_size=300), JSON, max_size=5))
def test_new_images_are_described_or_refused(body: dict[str, object]) -> None:
    """Every attribute is one of the API's, or a string property."""
    described = outcome(lambda: split(dict(body)), 400, 403)
    if described is not None:
        base, properties = described
        assert all(isinstance(value, str) for value in properties.values())
        json.dumps([base, properties])


@given(st.text(max_size=200))
def test_queries_of_any_kind_are_read_or_refused(raw: str) -> None:
    """Nothing but 400."""
    for query in (raw, f"sort={raw}", f"created_at={raw}", f"name=in:{raw}", f"limit={raw}"):
        wanted = outcome(lambda query=query: listing.wanted(Query(query)), 400)
        assert wanted is None or 0 <= wanted.limit <= listing.LIMIT_MAX


@given(JSON)
def test_namespaces_of_any_kind_are_read_or_refused(body: object) -> None:
    """Nothing but 400."""
    outcome(lambda: CHECK_NAMESPACE(body, ""), 400)


@given(st.text(max_size=100), st.sampled_from(["", "http://", "https://", "http://[", "ftp://"]))
def test_urls_of_any_kind_are_read_or_refused(text: str, begin: str) -> None:
    """A place that a request can be made of without another line in it, or a refusal."""
    try:
        where = place(begin + text)
        check_literal(where, (), ())
    except Refused:
        return
    assert where.scheme in {"http", "https"}
    assert not set("\r\n \t") & set(where.target + where.authority)


@given(st.ip_addresses())
def test_an_address_that_is_let_in_is_public_all_the_way(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """Neither it nor any address inside it is private."""
    try:
        check(address, 80, (), ())
    except Refused:
        return
    for one in {address, *embedded(address)}:
        assert one.is_global
        assert not one.is_private
