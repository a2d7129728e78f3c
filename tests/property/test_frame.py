"""Frames and the handshake survive whatever comes over a socket."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import frame as framing
from core import limits
from core.errors import Corrupt
from core.frame import Frame
from core.link import FrameServer, Link, ServerConnection
from tests.virtual import World, run

KEY = b"the key of this installation...."
ADDRESS = "tcp:o0:7000"

word = st.integers(0, 0xFFFFFFFF)
byte = st.integers(0, 0xFF)
frames = st.builds(Frame, word, byte, byte, word, word, st.binary(max_size=300), st.binary())


@given(frames)
def test_a_header_says_what_was_put_in(frame: Frame) -> None:
    """Round trip of every field, at any offset of a buffer."""
    data = framing.encode_header(frame)
    assert len(data) == framing.HEADER_BYTES
    for offset in (0, 5):
        head = framing.decode_header(bytes(offset) + data, offset)
        assert head == (
            len(frame.head),
            len(frame.body),
            frame.call,
            frame.epoch,
            frame.device,
            frame.operation,
            frame.status,
        )


@given(st.binary(min_size=framing.HEADER_BYTES, max_size=framing.HEADER_BYTES))
def test_any_header_is_within_its_limits_or_refused(data: bytes) -> None:
    """Nobody can make us reserve more than a frame may have."""
    try:
        head = framing.decode_header(data)
    except Corrupt:
        return
    assert head.head_bytes <= limits.FRAME_HEAD_BYTES_MAX
    assert head.body_bytes <= limits.FRAME_BYTES_MAX


nonces = st.binary(min_size=framing.NONCE_BYTES, max_size=framing.NONCE_BYTES)


@given(nonces, nonces)
def test_both_ends_prove_the_key(server_nonce: bytes, client_nonce: bytes) -> None:
    """The handshake as it should be."""
    hello = framing.hello(server_nonce)
    assert len(hello) == framing.HELLO_BYTES
    assert framing.read_hello(hello) == server_nonce
    proof = framing.client_proof(KEY, server_nonce, client_nonce)
    assert len(proof) == framing.PROOF_BYTES
    answer = framing.check_client_proof(KEY, server_nonce, proof)
    assert answer is not None
    assert framing.check_server_proof(KEY, server_nonce, client_nonce, answer)


@given(nonces, nonces, st.integers(0, framing.PROOF_BYTES * 8 - 1))
def test_one_flipped_bit_spoils_a_proof(s_nonce: bytes, c_nonce: bytes, bit: int) -> None:
    """The proof covers the role and both nonces."""
    proof = bytearray(framing.client_proof(KEY, s_nonce, c_nonce))
    proof[bit // 8] ^= 1 << bit % 8
    assert framing.check_client_proof(KEY, s_nonce, bytes(proof)) is None


@given(nonces, nonces, nonces)
def test_a_proof_is_good_for_one_connection_and_one_role(
    server_nonce: bytes, other_nonce: bytes, client_nonce: bytes
) -> None:
    """A replayed proof and one sent back as the other role's are worthless."""
    proof = framing.client_proof(KEY, server_nonce, client_nonce)
    if other_nonce != server_nonce:
        assert framing.check_client_proof(KEY, other_nonce, proof) is None
    answer = framing.check_client_proof(KEY, server_nonce, proof)
    assert answer is not None
    assert framing.check_client_proof(KEY, server_nonce, client_nonce + answer) is None
    client_mac = proof[framing.NONCE_BYTES :]
    assert not framing.check_server_proof(KEY, server_nonce, client_nonce, client_mac)
    assert framing.check_client_proof(b"another key", server_nonce, proof) is None


@given(st.binary(max_size=100))
def test_a_stranger_greeting_is_refused(data: bytes) -> None:
    """Only our own magic is a greeting."""
    if data[: len(framing.MAGIC)] != framing.MAGIC:
        with pytest.raises(Corrupt):
            framing.read_hello(data)


class Attacker(asyncio.Protocol):
    """Sends given bytes, before or after a proper handshake."""

    def __init__(self, data: bytes, *, proven: bool) -> None:
        self._data = data
        self._proven = proven
        self._greeting = b""
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if not self._proven:
            transport.write(self._data)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._greeting += data
        if self._proven and len(self._greeting) == framing.HELLO_BYTES:
            nonce = framing.read_hello(self._greeting)
            proof = framing.client_proof(KEY, nonce, bytes(framing.NONCE_BYTES))
            self._transport.write(proof + self._data)  # type: ignore[attr-defined]

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


def attack(data: bytes, *, proven: bool) -> tuple[list[Frame], bool]:
    """Frames that were dispatched, and whether the attacker was cut off. The server must stay alive."""
    calls: list[Frame] = []

    def handle(connection: ServerConnection, call: Frame) -> None:
        calls.append(call)
        connection.reply(call, 0)

    async def work(world: World) -> bool:
        server = FrameServer(world.env(), KEY, handle)
        await server.listen(ADDRESS)
        attacker = Attacker(data, proven=proven)
        await world.loop.create_connection(lambda: attacker, "o0", 7000)
        await asyncio.sleep(60)
        seen = len(calls)
        honest = Link(world.env(), ADDRESS, KEY)
        assert await honest.wait_up(5)
        assert (await honest.ask(1, 0, b"alive")).status == 0
        del calls[seen:]
        return attacker.lost

    lost = run(work)
    return calls, lost


@settings(max_examples=60)
@given(st.binary(max_size=400))
def test_garbage_instead_of_a_proof_gets_nothing(data: bytes) -> None:
    """Without the key nothing is dispatched, and the connection ends."""
    calls, lost = attack(data, proven=False)
    assert calls == []
    assert lost


@settings(max_examples=60)
@given(st.lists(frames, max_size=4), st.binary(max_size=60), st.integers(0, 200))
def test_frames_before_garbage_are_whole_or_absent(
    sent: list[Frame], garbage: bytes, cut: int
) -> None:
    """What is dispatched is a prefix of what was sent; a torn frame is never seen."""
    stream = b"".join(framing.encode_header(one) + one.head + bytes(one.body) for one in sent)
    calls, _ = attack(stream[: max(0, len(stream) - cut)], proven=True)
    assert calls == sent[: len(calls)]
    calls, _ = attack(stream + garbage, proven=True)
    assert calls[: len(sent)] == sent


@pytest.mark.parametrize("field", ["head", "body"])
def test_an_oversized_frame_ends_the_connection(field: str) -> None:
    """A frame that announces more than its limit is refused before anything is reserved."""
    sizes = [0, 0]
    sizes[field == "body"] = limits.FRAME_BYTES_MAX + 1
    header = framing.HEADER.pack(*sizes, 1, 0, 0, 1, 0)
    calls, lost = attack(header + bytes(1000), proven=True)
    assert calls == []
    assert lost
