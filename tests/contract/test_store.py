"""The cluster and its model are the same store: one suite for every verb of the port."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import Conflict, NotFound, PreconditionFailed, Refused
from core.limits import INLINE_BYTES_MAX, STRIPE_BYTES
from core.real import RealEnv
from proxy.store.port import Store
from proxy.store.record import (
    PARTS,
    UPLOADS,
    BodyDigest,
    Draft,
    Found,
    ListQuery,
    ObjectName,
    ObjectRecord,
    PartMark,
)
from tests.local_cluster import POLICIES, LocalCluster
from tests.model.memory_store import MemoryStore, select

Work = Callable[[Store], Awaitable[Any]]
OnStore = Callable[[Work], Any]
A, C = "AUTH_test", "photos"
LONG = "shared/prefix/" + "x" * 430  # beyond where the index cuts names


@pytest.fixture(params=["cluster", "model"])
def on_store(request: pytest.FixtureRequest, tmp_path: Path) -> OnStore:
    """Runs a coroutine with a store that has one container, `C`, of the default policy."""

    async def on_cluster(work: Work) -> Any:
        async with LocalCluster(tmp_path) as local:
            await local.store.create_container(A, C, policy=None, change={})
            return await work(local.store)

    async def on_model(work: Work) -> Any:
        store = MemoryStore(RealEnv().wall_us, POLICIES)
        await store.create_container(A, C, policy=None, change={})
        return await work(store)

    runner = on_cluster if request.param == "cluster" else on_model
    return lambda work: asyncio.run(runner(work))


def where(name: str, container: str = C, **options: str) -> ObjectName:
    return ObjectName(A, container, name, **options)


async def pieces(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def put(store: Store, target: ObjectName, data: bytes = b"", **options: Any) -> Found:
    check = options.pop("check", None)
    draft = Draft(
        options.pop("content_type", "text/plain"), options.pop("attributes", {}), **options
    )
    return await store.put_object(target, pieces(data), lambda _: draft, check=check)


async def body_of(store: Store, found: Found, start: int = 0, length: int | None = None) -> bytes:
    return b"".join([bytes(piece) async for piece in store.read(found, start, length)])


async def read(store: Store, target: ObjectName) -> bytes:
    return await body_of(store, await store.get_object(target))


async def refused(work: Awaitable[Any], kind: type[Refused], code: str = "") -> Refused:
    with pytest.raises(kind) as caught:
        await work
    assert not code or caught.value.code == code, caught.value.code
    return caught.value


def refuse(record: ObjectRecord | None) -> None:
    raise PreconditionFailed("No", "no")


# -- accounts and containers -----------------------------------------------------------------------


def test_an_account_nobody_wrote_to_is_empty(on_store: OnStore) -> None:
    """It exists implicitly."""

    async def work(store: Store) -> None:
        info = await store.get_account("AUTH_new")
        assert info.record.attributes == {}
        assert info[2:] == (0, 0, 0)
        assert (await store.list_containers("AUTH_new", ListQuery())).rows == []

    on_store(work)


def test_attributes_are_merged(on_store: OnStore) -> None:
    """Given keys change, None removes, others stay; in accounts and containers alike."""

    async def work(store: Store) -> None:
        await store.update_account(A, {"meta:a": "1", "meta:b": "2"})
        await store.update_account(A, {"meta:a": None, "meta:c": "ü"})
        assert (await store.get_account(A)).record.attributes == {"meta:b": "2", "meta:c": "ü"}
        await store.update_container(A, C, {"meta:a": "1", "meta:b": "2"})
        assert not await store.create_container(A, C, policy=None, change={"meta:b": None})
        await store.update_container(A, C, {"meta:gone": None})
        assert (await store.get_container(A, C)).record.attributes == {"meta:a": "1"}

    on_store(work)


def test_a_container_is_created_once(on_store: OnStore) -> None:
    """The second time it is only changed, and keeps its identity, policy and date of birth."""

    async def work(store: Store) -> None:
        named = POLICIES[1].name
        assert await store.create_container(A, "new", policy=named.upper(), change={"meta:a": "1"})
        before = (await store.get_container(A, "new")).record
        assert not await store.create_container(A, "new", policy=named, change={"meta:b": "2"})
        assert not await store.create_container(A, "new", policy=None, change={})
        after = (await store.get_container(A, "new")).record
        assert after.attributes == {"meta:a": "1", "meta:b": "2"}
        assert after.policy == before.policy == POLICIES[1].id
        assert after.incarnation == before.incarnation
        assert after.created_us == before.created_us
        assert after.modified_us >= before.modified_us

    on_store(work)


def test_policies_are_known_by_name(on_store: OnStore) -> None:
    """The default comes first; unknown and different ones are refused."""

    async def work(store: Store) -> None:
        assert store.policies[0].is_default
        assert {policy.id for policy in store.policies} == {policy.id for policy in POLICIES}
        create = store.create_container
        await refused(create(A, "x", policy="brass", change={}), Refused, "NoSuchPolicy")
        await refused(store.get_container(A, "x"), NotFound, "NoSuchContainer")
        other = POLICIES[2].name
        await refused(create(A, C, policy=other, change={}), Conflict, "PolicyMismatch")

    on_store(work)


def test_a_missing_container_has_nothing(on_store: OnStore) -> None:
    """Every verb says NoSuchContainer, before anything else about the object."""

    async def work(store: Store) -> None:
        gone = where("o", "gone")
        found = await put(store, where("o"), b"x")
        calls: list[Awaitable[Any]] = [
            store.get_container(A, "gone"),
            store.update_container(A, "gone", {}),
            store.delete_container(A, "gone"),
            store.list_objects(A, "gone", ListQuery()),
            store.get_object(gone),
            put(store, gone, b"x"),
            put(store, gone, b"x", check=refuse),
            store.update_object(gone, lambda _: Draft("a/b", {})),
            store.delete_object(gone),
            store.copy_object(found, gone, Draft("a/b", {})),
            store.compose_object(gone, [(found, 0, 1)], Draft("a/b", {}, etag="e")),
        ]
        for call in calls:
            await refused(call, NotFound, "NoSuchContainer")

    on_store(work)


def test_only_an_empty_container_is_deleted(on_store: OnStore) -> None:
    """And what is created under its name later is new."""

    async def work(store: Store) -> None:
        await put(store, where("o"))
        await refused(store.delete_container(A, C), Conflict, "ContainerNotEmpty")
        assert await read(store, where("o")) == b""
        await store.delete_object(where("o"))
        before = (await store.get_container(A, C)).record
        await store.delete_container(A, C)
        await refused(store.delete_container(A, C), NotFound, "NoSuchContainer")
        assert (await store.list_containers(A, ListQuery())).rows == []
        assert await store.create_container(A, C, policy=None, change={})
        after = (await store.get_container(A, C)).record
        assert after.incarnation != before.incarnation
        assert after.created_us > before.created_us
        assert (await store.list_objects(A, C, ListQuery())).rows == []

    on_store(work)


def test_statistics_follow_every_change(on_store: OnStore) -> None:
    """Counts and bytes of objects only, at once; overwriting and deleting count too."""

    async def work(store: Store) -> None:
        async def seen() -> tuple[int, int]:
            info, account = await store.get_container(A, C), await store.get_account(A)
            assert account[3:] == (info.object_count, info.bytes_used)
            [row] = (await store.list_containers(A, ListQuery())).rows
            assert row.info is not None
            assert row.info[2:] == info[2:]
            return info.object_count, info.bytes_used

        assert await seen() == (0, 0)
        await put(store, where("a"), b"12345")
        await put(store, where("b"), bytes(20_000))
        assert await seen() == (2, 20_005)
        await put(store, where("a"), b"1")
        await put(store, where("u", space=UPLOADS), b"does not count")
        assert await seen() == (2, 20_001)
        await store.copy_object(await store.get_object(where("b")), where("c"), Draft("a/b", {}))
        assert await seen() == (3, 40_001)
        await store.update_object(where("b"), lambda _: Draft("a/b", {"meta:x": "1"}))
        assert await seen() == (3, 40_001)
        await store.delete_object(where("b"))
        assert await seen() == (2, 20_001)
        assert (await store.get_account(A)).container_count == 1

    on_store(work)


# -- objects ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [policy.name for policy in POLICIES])
def test_bodies_come_back_whatever_their_size(on_store: OnStore, policy: str) -> None:
    """Inline, one stripe, several; whole and in part; under every policy."""
    sizes = (0, 1, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1, 100_000, STRIPE_BYTES + 70_001)

    async def work(store: Store) -> None:
        await store.create_container(A, policy, policy=policy, change={})
        for size in sizes:
            data = random.Random(size).randbytes(size)
            target = where(f"of {size}", policy)
            made = await put(store, target, data, content_type="a/b", attributes={"meta:k": "v"})
            found = await store.get_object(target)
            assert found.record == made.record
            assert found.version == made.version
            record = found.record
            assert (record.size, record.body_size) == (size, size)
            assert record.etag == hashlib.md5(data).hexdigest()
            assert (record.content_type, record.attributes) == ("a/b", {"meta:k": "v"})
            assert await body_of(store, found) == data
            for start, length in ((0, 1), (size // 2, 10), (size // 3, size), (size, None)):
                expected = data[start:] if length is None else data[start : start + length]
                assert await body_of(store, found, start, length) == expected

    on_store(work)


def test_the_digest_is_told_before_the_record_is_made(on_store: OnStore) -> None:
    """`finish` sees size and MD5 of what came, and may refuse: then nothing is stored."""

    async def work(store: Store) -> None:
        seen: list[BodyDigest] = []

        def finish(digest: BodyDigest) -> Draft:
            seen.append(digest)
            raise Refused("BadDigest", "not what was announced")

        for size in (5, 50_000):
            data = bytes(size)
            await refused(store.put_object(where("o"), pieces(data), finish), Refused, "BadDigest")
            assert seen[-1] == BodyDigest(size, hashlib.md5(data).hexdigest())
            await refused(store.get_object(where("o")), NotFound, "NoSuchObject")

    on_store(work)


def test_a_body_that_breaks_off_stores_nothing(on_store: OnStore) -> None:
    """The old object stays, whole."""

    async def broken() -> AsyncIterator[bytes]:
        yield bytes(5_000_000)
        raise Refused("Gone", "the client went away")

    async def work(store: Store) -> None:
        await put(store, where("o"), b"old")
        await refused(store.put_object(where("o"), broken(), lambda _: Draft("", {})), Refused)
        assert await read(store, where("o")) == b"old"

    on_store(work)


def test_a_body_in_memory_is_stored_at_once(on_store: OnStore) -> None:
    """Whole, under the given ETag; a check that refuses leaves what was there, a missing ETag everything."""

    def absent(current: ObjectRecord | None) -> None:
        if current is not None:
            raise PreconditionFailed("Exists", "it is there")

    async def work(store: Store) -> None:
        for size in (0, 5, 8192, 8193, 50_000, 5_000_000):
            data = random.Random(size).randbytes(size)
            found = await store.put_bytes(
                where(f"o{size}"), data, Draft("a/b", {}, etag="tag"), check=absent
            )
            assert (found.record.etag, found.record.size) == ("tag", size)
            assert await read(store, where(f"o{size}")) == data
            again = store.put_bytes(
                where(f"o{size}"), b"x", Draft("a/b", {}, etag="t"), check=absent
            )
            await refused(again, PreconditionFailed, "Exists")
            assert await read(store, where(f"o{size}")) == data
        await refused(store.put_bytes(where("p"), b"x", Draft("a/b", {})), Refused, "EtagRequired")

    on_store(work)


def test_a_draft_may_set_size_etag_and_parts(on_store: OnStore) -> None:
    """Large-object manifests: what GET delivers is not what is stored."""

    async def work(store: Store) -> None:
        marks = (PartMark(1, 5, "e1"), PartMark(2, 6, "e2", "crc"))
        await put(store, where("m"), b"manifest", size=1000, etag="abc-2", parts=marks)
        found = await store.get_object(where("m"))
        assert (found.record.size, found.record.body_size) == (1000, 8)
        assert (found.record.etag, found.record.parts) == ("abc-2", marks)
        assert await body_of(store, found) == b"manifest"
        assert (await store.get_container(A, C)).bytes_used == 1000
        await store.update_object(where("m"), lambda _: Draft("a/b", {}))
        await store.copy_object(found, where("copy"), Draft("a/b", {}))
        for name in ("m", "copy"):
            record = (await store.get_object(where(name))).record
            assert (record.size, record.body_size, record.etag) == (1000, 8, "abc-2"), name
        assert (await store.get_object(where("m"))).record.parts == marks

    on_store(work)


def test_the_last_write_wins_and_time_moves_on(on_store: OnStore) -> None:
    """Versions and modification times of one object are never equal."""

    async def work(store: Store) -> None:
        seen = [await put(store, where("o"), b"%d" % n) for n in range(5)]
        assert len({found.version for found in seen}) == 5
        times = [found.record.modified_us for found in seen]
        assert times == sorted(set(times))
        assert await read(store, where("o")) == b"4"

    on_store(work)


@pytest.mark.parametrize("size", [10, 50_000])
def test_checks_decide_on_the_current_record(on_store: OnStore, size: int) -> None:
    """Asked early and at the commit; a refusal stores nothing and reads no body."""

    async def work(store: Store) -> None:
        seen: list[ObjectRecord | None] = []
        took: list[bytes] = []

        async def counted() -> AsyncIterator[bytes]:
            took.append(b"")
            yield bytes(size)

        def note(record: ObjectRecord | None) -> None:
            seen.append(record)

        made = await put(store, where("o"), bytes(size), check=note)
        assert seen
        assert set(seen) == {None}
        body = counted()
        work_on = store.put_object(where("o"), body, lambda _: Draft("", {}), check=refuse)
        await refused(work_on, PreconditionFailed, "No")
        assert took == []
        await body.aclose()
        await refused(store.delete_object(where("o"), check=refuse), PreconditionFailed)
        await refused(
            store.copy_object(made, where("o"), Draft("", {}), check=refuse), PreconditionFailed
        )
        plan = [(made, 0, size)]
        call = store.compose_object(where("o"), plan, Draft("", {}, etag="e"), check=refuse)
        await refused(call, PreconditionFailed)
        now = await store.get_object(where("o"))
        assert now.record.modified_us == made.record.modified_us
        seen.clear()
        await store.delete_object(where("o"), check=note)
        assert seen[-1] is not None
        assert seen[-1].etag == made.record.etag
        await refused(store.delete_object(where("o"), check=refuse), PreconditionFailed)

    on_store(work)


def test_a_deleted_object_is_gone(on_store: OnStore) -> None:
    """The record that was deleted is returned; deleting again finds nothing."""

    async def work(store: Store) -> None:
        made = await put(store, where("o"), b"x", attributes={"meta:a": "1"})
        deleted = await store.delete_object(where("o"))
        assert deleted.attributes == made.record.attributes
        for call in (
            store.get_object(where("o")),
            store.delete_object(where("o")),
            store.update_object(where("o"), lambda _: Draft("", {})),
        ):
            await refused(call, NotFound, "NoSuchObject")
        assert (await store.list_objects(A, C, ListQuery())).rows == []
        again = await put(store, where("o"), b"y")
        assert again.record.attributes == {}

    on_store(work)


@pytest.mark.parametrize("size", [10, 50_000])
def test_metadata_changes_keep_the_body(on_store: OnStore, size: int) -> None:
    """Everything the draft names is replaced; a refusal in the change changes nothing."""

    async def work(store: Store) -> None:
        data = random.Random(1).randbytes(size)
        made = await put(store, where("o"), data, attributes={"meta:a": "1"})

        def change(record: ObjectRecord) -> Draft:
            assert record.etag == made.record.etag
            return Draft("b/c", {"meta:b": "2"}, expires_s=4_000_000_000)

        changed = await store.update_object(where("o"), change)
        found = await store.get_object(where("o"))
        assert found.record == changed.record
        assert found.record.attributes == {"meta:b": "2"}
        assert (found.record.content_type, found.record.expires_s) == ("b/c", 4_000_000_000)
        assert found.record.etag == made.record.etag
        assert found.record.modified_us > made.record.modified_us
        assert await body_of(store, found) == data

        def refuse_change(record: ObjectRecord) -> Draft:
            raise Conflict("No", "no")

        await refused(store.update_object(where("o"), refuse_change), Conflict, "No")
        assert (await store.get_object(where("o"))).record == changed.record

    on_store(work)


@pytest.mark.parametrize("size", [10, 50_000])
def test_an_expired_object_reads_as_absent(on_store: OnStore, size: int) -> None:
    """From the second named on: for reads, checks, changes and deletes; a new PUT brings it back."""
    past = RealEnv().wall_us() // 1_000_000 - 5

    async def work(store: Store) -> None:
        await put(store, where("o"), bytes(size), expires_s=past)
        for call in (
            store.get_object(where("o")),
            store.update_object(where("o"), lambda _: Draft("", {})),
            store.delete_object(where("o")),
        ):
            await refused(call, NotFound, "NoSuchObject")
        seen: list[ObjectRecord | None] = []
        await put(store, where("o"), b"new", check=seen.append)
        assert set(seen) == {None}
        assert await read(store, where("o")) == b"new"
        await put(store, where("later"), bytes(size), expires_s=past + 4000)
        assert (await store.get_object(where("later"))).record.expires_s == past + 4000

    on_store(work)


def test_spaces_do_not_see_each_other(on_store: OnStore) -> None:
    """Multipart state has its own names beside the objects."""

    async def work(store: Store) -> None:
        for space in ("objects", UPLOADS, PARTS):
            await put(store, where("o", space=space), space.encode())
        for space in ("objects", UPLOADS, PARTS):
            assert await read(store, where("o", space=space)) == space.encode()
            rows = (await store.list_objects(A, C, ListQuery(), space=space)).rows
            assert [row.name for row in rows] == ["o"]
        await store.delete_object(where("o"))
        await store.delete_container(A, C)

    on_store(work)


@pytest.mark.parametrize(
    "name", ["a", "/", "//", ".", "../..", "a b%2F", "ü", "日本", "\U0001f600", "x" * 1024, LONG]
)
def test_any_name_is_just_a_name(on_store: OnStore, name: str) -> None:
    """Nothing in it is interpreted."""

    async def work(store: Store) -> None:
        await put(store, where(name), name.encode())
        assert await read(store, where(name)) == name.encode()
        assert [r.name for r in (await store.list_objects(A, C, ListQuery())).rows] == [name]
        await store.delete_object(where(name))

    on_store(work)


def test_names_that_nothing_may_have_are_refused(on_store: OnStore) -> None:
    """Empty, too long, or no UTF-8."""

    async def work(store: Store) -> None:
        for name, code in (("", "BadName"), ("x" * 1100, "NameTooLong"), ("\ud800", "BadName")):
            await refused(put(store, where(name), b""), Refused, code)
            await refused(store.get_object(where(name)), Refused, code)
        create = store.create_container
        await refused(create(A, "", policy=None, change={}), Refused, "BadName")
        await refused(create(A, "c" * 257, policy=None, change={}), Refused, "NameTooLong")
        await refused(store.get_account("a" * 257), Refused, "NameTooLong")

    on_store(work)


# -- copies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 50_000])
def test_a_copy_lives_on_its_own(on_store: OnStore, size: int) -> None:
    """Whatever happens to source or copy, the other keeps its bytes."""

    async def work(store: Store) -> None:
        data = random.Random(2).randbytes(size)
        await put(store, where("a"), data, attributes={"meta:a": "1"})
        source = await store.get_object(where("a"))
        for name in ("b", "c"):
            copied = await store.copy_object(source, where(name), Draft("x/y", {"meta:c": "1"}))
            assert copied.record.etag == source.record.etag
            assert copied.record.attributes == {"meta:c": "1"}
        await put(store, where("a"), b"overwritten")
        await store.delete_object(where("b"))
        assert await read(store, where("c")) == data
        assert await read(store, where("a")) == b"overwritten"

    on_store(work)


@pytest.mark.parametrize("size", [10, 50_000])
def test_an_object_copied_onto_itself_keeps_its_bytes(on_store: OnStore, size: int) -> None:
    """How S3 changes metadata."""

    async def work(store: Store) -> None:
        data = random.Random(2).randbytes(size)
        found = await put(store, where("a"), data)
        await store.copy_object(found, where("a"), Draft("x/y", {"meta:n": "1"}))
        again = await store.get_object(where("a"))
        assert again.record.attributes == {"meta:n": "1"}
        assert await body_of(store, again) == data

    on_store(work)


def test_composed_objects_join_ranges(on_store: OnStore) -> None:
    """Of inline and large objects, in order, repeated, across containers; with an ETag of their own."""

    async def work(store: Store) -> None:
        await store.create_container(A, "other", policy=None, change={})
        small, large = b"0123456789", random.Random(3).randbytes(STRIPE_BYTES + 50_000)
        one = await put(store, where("small"), small)
        two = await put(store, where("large", "other"), large)
        plan = [
            (one, 2, 3),
            (two, STRIPE_BYTES - 5, 10),
            (one, 0, 10),
            (two, 0, 20_000),
            (one, 5, 0),
        ]
        expected = small[2:5] + large[STRIPE_BYTES - 5 : STRIPE_BYTES + 5] + small + large[:20_000]
        parts = (PartMark(1, 3, "x"),)
        made = await store.compose_object(
            where("made"), plan, Draft("a/b", {"meta:m": "1"}, etag="etag-5", parts=parts)
        )
        assert (made.record.size, made.record.etag) == (len(expected), "etag-5")
        assert made.record.parts == parts
        assert await read(store, where("made")) == expected
        await store.delete_object(where("large", "other"))
        await store.delete_object(where("small"))
        found = await store.get_object(where("made"))
        assert await body_of(store, found) == expected
        assert await body_of(store, found, 5, 20) == expected[5:25]
        tiny = await store.compose_object(where("tiny"), [(found, 1, 5)], Draft("", {}, etag="t"))
        assert await body_of(store, tiny) == expected[1:6]

    on_store(work)


def test_a_composed_object_needs_an_etag(on_store: OnStore) -> None:
    """Nobody has read its bytes, so nobody can compute one."""

    async def work(store: Store) -> None:
        found = await put(store, where("o"), b"x")
        call = store.compose_object(where("n"), [(found, 0, 1)], Draft("", {}))
        await refused(call, Refused, "EtagRequired")

    on_store(work)


def test_parts_are_adopted_by_what_they_complete(on_store: OnStore) -> None:
    """Completion: parts go with `keep_blobs`, and the object has their bytes."""

    async def work(store: Store) -> None:
        bodies = [random.Random(n).randbytes(60_000) for n in range(3)]
        made = [
            await put(store, where(f"up/{n}", space=PARTS), body) for n, body in enumerate(bodies)
        ]
        plan = [(found, 0, found.record.size) for found in made]
        await store.compose_object(where("whole"), plan, Draft("", {}, etag="e-3"), adopt=True)
        for found in made:
            await store.delete_object(found.where, keep_blobs=True)
        assert await read(store, where("whole")) == b"".join(bodies)
        await store.delete_object(where("whole"))

    on_store(work)


# -- listings --------------------------------------------------------------------------------------

NAMES = [
    "a", "a/", "a/b", "a/b/c", "a/b/d", "a/c", "a0", "b", "b/\U0010ffff", "b/\U0010ffffz", "b/é",
    "c//", "c//d", "c/d", "photos/1", "photos/2", "z", "é", "éa/b", "ﾟ", "\U00010000", "日/本",
    LONG[:439], LONG[:440], LONG[:441], LONG, LONG + "/a", LONG + "/b", LONG + "/b/c", LONG + "0",
    LONG + "é", "w" * 440, "w" * 440 + "a", "w" * 1000, "\x01", "\x7f", " ", "~",
]  # fmt: skip


def queries() -> list[ListQuery]:
    """Every kind of query that the names can tell apart."""
    prefixes = ["", "a", "a/", "b/", "c/", "é", LONG[:100], LONG, LONG + "/", "nothing", "w" * 440]
    delimiters = ["", "/", "//", "b", "é"]
    marks = ["", "a/", "a/b", "b", LONG, LONG + "/a", "nowhere", "\U0010ffff"]
    chance = random.Random(4)
    result = [ListQuery(), ListQuery(limit=0), ListQuery(delimiter="/"), ListQuery(reverse=True)]
    for prefix, delimiter, reverse in itertools.product(prefixes, delimiters, (False, True)):
        for _ in range(4):
            low, high = sorted([chance.choice(marks), chance.choice([*marks, ""])])
            marker, end = (high, low) if reverse else (low, high)
            limit = chance.choice((1, 2, 3, 7, 10_000))
            result.append(ListQuery(prefix, delimiter, marker, end, limit, reverse=reverse))
    return result


def test_objects_are_listed_as_a_sorted_list_would_be(on_store: OnStore) -> None:
    """Prefix, delimiter, markers, direction and limit, in the byte order of UTF-8."""

    async def work(store: Store) -> None:
        for name in NAMES:
            await put(store, where(name), name.encode())
        for gone in ("a/gone", LONG + "/gone", "zz"):
            await put(store, where(gone), b"")
            await store.delete_object(where(gone))
        for query in queries():
            page = await store.list_objects(A, C, query)
            rows, more = select(NAMES, query)
            assert [(row.name, row.summary is None) for row in page.rows] == rows, query
            assert page.truncated == more, query
            for row in page.rows:
                if row.summary is not None:
                    assert row.summary.size == len(row.name.encode())
                    assert row.summary.etag == hashlib.md5(row.name.encode()).hexdigest()

    on_store(work)


def test_pages_together_are_the_whole_list(on_store: OnStore) -> None:
    """Following the last name as a marker misses nothing and repeats nothing, both ways."""

    async def work(store: Store) -> None:
        for name in NAMES:
            await put(store, where(name))
        for delimiter, reverse in itertools.product(("", "/"), (False, True)):
            whole = await store.list_objects(A, C, ListQuery(delimiter=delimiter, reverse=reverse))
            seen: list[str] = []
            marker = ""
            while True:
                query = ListQuery("", delimiter, marker, limit=3, reverse=reverse)
                page = await store.list_objects(A, C, query)
                seen += [row.name for row in page.rows]
                if not page.truncated:
                    break
                marker = page.rows[-1].name
            assert seen == [row.name for row in whole.rows]

    on_store(work)


def test_containers_are_listed_like_objects(on_store: OnStore) -> None:
    """With their statistics; common prefixes have none."""

    async def work(store: Store) -> None:
        names = ["b", "c", "logs-1", "logs-2", "é", C]
        for name in names[:-1]:
            await store.create_container(A, name, policy=None, change={"meta:n": name})
        await put(store, where("o", "logs-2"), b"123")
        for query in (
            ListQuery(),
            ListQuery(prefix="logs"),
            ListQuery(delimiter="-"),
            ListQuery(marker="c", limit=2),
            ListQuery(reverse=True, end_marker="c"),
        ):
            page = await store.list_containers(A, query)
            rows, more = select(names, query)
            assert [(row.name, row.info is None) for row in page.rows] == rows
            assert page.truncated == more
        page = await store.list_containers(A, ListQuery())
        infos = {row.name: row.info for row in page.rows if row.info is not None}
        assert infos["logs-2"].object_count == 1
        assert infos["logs-2"].bytes_used == 3
        assert infos["b"].name == "b"
        for name in names:
            assert infos[name].record.policy == POLICIES[0].id
        await store.delete_container(A, "b")
        page = await store.list_containers(A, ListQuery(limit=1))
        assert [row.name for row in page.rows] == ["c"]

    on_store(work)
