"""Keys and values of the index: round trips, order, and room for every name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from objectd import rows
from objectd.record import Place
from objectd.rows import BlobRow, RegisterRow, StatsRow, Tally
from objectd.wire import NAME_BYTES_MAX

sixteen = st.binary(min_size=16, max_size=16)
u16 = st.integers(0, 2**16 - 1)
u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
places = st.builds(Place, u32, u64, u32)
texts = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=400)
names = st.one_of(
    texts.map(str.encode),
    st.tuples(st.just("x" * 430), texts).map(lambda pair: (pair[0] + pair[1]).encode()),
).filter(lambda name: len(name) <= NAME_BYTES_MAX)


@st.composite
def register_rows(draw: st.DrawFn) -> RegisterRow:
    summary, meta = draw(st.binary(max_size=80)), draw(st.binary(max_size=80))
    in_row = draw(st.booleans())
    return RegisterRow(
        draw(sixteen),
        draw(st.integers(0, 255)),
        draw(u64),
        draw(u64),
        draw(sixteen),
        draw(places),
        len(summary),
        len(meta) if in_row else draw(u32),
        draw(u32),
        draw(st.one_of(st.just(b""), names)),
        summary,
        meta if in_row else b"",
    )


@given(register_rows())
def test_a_register_row_is_read_back(row: RegisterRow) -> None:
    """Round trip, and each peek sees what unpacking would."""
    value = rows.pack_register(row)
    assert rows.unpack_register(value) == row
    assert rows.peek_ballot(value) == row.ballot
    assert rows.peek_flags(value) == row.flags
    assert rows.peek_name(value) == row.name
    assert rows.peek_summary(value) == row.summary


blobs = st.builds(
    BlobRow, places, u32, u32, u64, policy=u16, total=u32, bad=st.booleans(), stamp=u32
)
statistics = st.builds(StatsRow, u64, u64, sixteen, sixteen, u64, u64, sixteen)
tallies = st.builds(Tally, u64, u64, sixteen)


@given(blobs, statistics, tallies)
def test_blob_and_statistics_rows_and_tallies_are_read_back(
    blob: BlobRow, stats: StatsRow, tally: Tally
) -> None:
    """Round trip."""
    assert rows.unpack_tally(rows.pack_tally(tally)) == tally
    assert rows.unpack_blob(rows.pack_blob(blob)) == blob
    assert rows.unpack_stats(rows.pack_stats(stats)) == stats


@given(names, names, sixteen, u64)
def test_every_name_has_a_key_of_its_own_that_fits(
    one: bytes, other: bytes, range_id: bytes, at_s: int
) -> None:
    """LMDB keys end at 511 bytes; names that share a long prefix stay apart."""
    for name in (one, other):
        assert len(rows.register_key(range_id, name)) <= 511
        assert len(rows.expiry_key(at_s, range_id, name)) <= 511
    same = rows.register_key(range_id, one) == rows.register_key(range_id, other)
    assert same == (one == other)


@given(names, names)
def test_keys_order_as_their_names_do_up_to_the_cut(one: bytes, other: bytes) -> None:
    """Names that differ before the cut keep their order; the rest is put in order by full names."""
    cut = rows.NAME_CUT_BYTES
    if one[:cut] != other[:cut]:
        assert (rows.name_key(one) < rows.name_key(other)) == (one < other)


@given(st.lists(sixteen, max_size=6), st.randoms())
def test_folding_forgets_order_and_undoes_itself(digests: list[bytes], chance: object) -> None:
    """A range's digest depends on the set of its members alone."""
    shuffled = list(digests)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    folded = rows.fold(bytes(16), *digests)
    assert folded == rows.fold(bytes(16), *shuffled)
    assert rows.fold(folded, *digests) == bytes(16)
