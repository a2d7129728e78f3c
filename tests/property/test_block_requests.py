"""The Block Storage API on arbitrary input: parsers refuse or answer, and the whole service never says 500."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockd import manifest, times
from blockd.api.backups import decoded
from blockd.api.shape import metadata, number, specs
from blockd.manifest import CHUNK_BYTES, Chunk, Manifest
from blockd.neighbours import place_of
from core.api.fault import Fault
from core.errors import Corrupt
from tests.block_site import BlockSite

JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELD = st.sampled_from(
    [
        "name",
        "description",
        "size",
        "metadata",
        "volume_type",
        "snapshot_id",
        "source_volid",
        "imageRef",
        "volume_id",
        "force",
        "container",
        "incremental",
        "host",
        "ref",
        "new_size",
        "status",
        "group_type",
        "volume_types",
        "add_volumes",
        "connector",
        "volume_uuid",
        "mode",
        "auth_key",
        "quota_set",
        "volumes",
        "gigabytes",
        "bootable",
        "readonly",
        "new_type",
    ]
)
PART = st.dictionaries(FIELD, JSON, max_size=4)


@given(JSON)
def test_checks_refuse_or_pass(value):
    """With Fault 400 and nothing else."""
    for check in (metadata, specs, lambda v, w: number(v, w, 1, 16384)):
        status = 0
        try:
            check(value, "x")
        except Fault as fault:
            status = fault.status
        assert status in {0, 400}


@given(st.one_of(st.text(max_size=200), st.binary(max_size=80).map(lambda b: b.hex())))
def test_records_times_and_locations_refuse_or_parse(text):
    """Whatever they hold."""
    try:
        decoded(text)
    except Fault as fault:
        refused = fault.status
    else:
        refused = 400
    assert refused == 400
    found = times.parsed(text)
    assert found is None or isinstance(found, int)
    place = place_of(text)
    assert place is None or (place.volume_id and place.snapshot_id)


CHUNKS = st.dictionaries(
    st.integers(0, 9),
    st.builds(
        Chunk, st.text(min_size=1, max_size=9), st.text(max_size=64), st.integers(1, CHUNK_BYTES)
    ),
    max_size=5,
)


@given(CHUNKS)
def test_a_manifest_comes_back_as_it_was(chunks):
    """And with its digest."""
    made = Manifest("b", "v", 10 * CHUNK_BYTES, chunks)
    data = manifest.encode(made)
    assert manifest.decode(data, manifest.digest_of(data)) == made


@given(st.binary(max_size=300), st.integers(0, 10_000), st.integers(0, 7))
def test_a_manifest_that_is_not_whole_is_refused(noise, place, bit):
    """Noise, and one flipped bit of a real one."""
    made = Manifest("b", "v", CHUNK_BYTES, {0: Chunk("n", "d", 5)})
    data = bytearray(manifest.encode(made))
    digest = manifest.digest_of(bytes(data))
    data[place % len(data)] ^= 1 << bit
    with pytest.raises(Corrupt):
        manifest.decode(bytes(data), digest)
    try:
        manifest.decode(noise, None)
    except Corrupt:
        pass
    else:
        pytest.fail("noise is no manifest")


@pytest.fixture(scope="module")
def site() -> Iterator[BlockSite]:
    with tempfile.TemporaryDirectory() as directory:
        made = BlockSite(Path(directory))
        made.settles = False
        yield made
        made.close()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_request_makes_the_service_fail(site, data):
    """Every route, with arbitrary bodies, names and queries: an answer below 500, or 501."""
    routes = [route for route in site.app.table.routes if "{project_id}" not in route.path]
    route = data.draw(st.sampled_from(routes))
    path = route.path.removeprefix("/v3")
    while "{" in path:
        head, _, rest = path.partition("{")
        name = data.draw(st.sampled_from(["x", "%00", "%ff", "a" * 300, "default", "%F0%9F%90%8C"]))
        path = head + name + rest.partition("}")[2]
    key = path.rpartition("/")[2]
    body = {
        data.draw(st.sampled_from([ROOTS.get(key, "volume"), *ROOTS.values()])): data.draw(PART)
    }
    query = data.draw(
        st.sampled_from(["", "?limit=x", "?marker=%00", "?sort=id:asc&limit=1", "?name~=%25"])
    )
    sent = None if route.method in {"GET", "DELETE"} else body
    reply = site.call(route.method, (path or "/") + query, sent, who="admin")
    assert reply.status < 500 or reply.status == 501, (route, reply)


ROOTS = {
    "volumes": "volume",
    "snapshots": "snapshot",
    "backups": "backup",
    "types": "volume_type",
    "groups": "group",
    "attachments": "attachment",
    "action": "os-extend",
    "accept": "accept",
    "restore": "restore",
    "metadata": "metadata",
    "qos-specs": "qos_specs",
    "extra_specs": "extra_specs",
}
