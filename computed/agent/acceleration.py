"""Whether this machine's processors can run guests: found out by running one, because a device that opens proves nothing.

The probe's firmware is a few instructions that count in real mode, write to a debug port and so end QEMU with a known status. Where
virtualisation is nested badly it aborts or crawls; then guests are emulated in software, slower and surely.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

KVM = Path("/dev/kvm")
PROBE_S = 4.0
FIRMWARE_BYTES = 64 * 1024
EXIT_VALUE = 0x15
EXIT_STATUS = (EXIT_VALUE << 1) | 1  # how isa-debug-exit tells it
EXIT_PORT = 0xF4
# At the reset vector (16 bytes before the end) a jump to the start of the firmware, which counts to 2^24 and exits.
PROGRAM = bytes(
    [
        *(0xB9, 0x00, 0x01),  # mov cx, 256
        *(0x31, 0xC0),  # outer: xor ax, ax
        *(0x48, 0x75, 0xFD),  # inner: dec ax; jnz inner
        *(0xE2, 0xF9),  # loop outer
        *(0xB0, EXIT_VALUE),  # mov al, value
        *(0xE6, EXIT_PORT),  # out port, al
        0xF4,  # hlt
    ]
)
RESET = bytes([0xEA, 0x00, 0x00, 0x00, 0xF0])  # jmp f000:0000


def firmware() -> bytes:
    """The 64 KiB below 1 MiB, where a processor begins."""
    image = bytearray(b"\xf4" * FIRMWARE_BYTES)
    image[: len(PROGRAM)] = PROGRAM
    image[-16 : -16 + len(RESET)] = RESET
    return bytes(image)


async def runs(accelerator: str) -> bool:
    """A guest of this accelerator (`kvm`, `tcg`) does its work in time."""
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        file.write(firmware())
        file.flush()
        process = await asyncio.create_subprocess_exec(
            *("qemu-system-x86_64", "-accel", accelerator, "-machine", "pc", "-m", "16"),
            *("-nodefaults", "-no-user-config", "-display", "none", "-bios", file.name),
            *("-device", f"isa-debug-exit,iobase={EXIT_PORT:#x},iosize=0x04"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(PROBE_S):
                return await process.wait() == EXIT_STATUS
        except TimeoutError:
            process.kill()
            await process.wait()
            return False


async def best() -> str:
    """`kvm` where it works, else `qemu`, as libvirt calls software emulation."""
    if os.access(KVM, os.R_OK | os.W_OK) and await runs("kvm"):
        return "kvm"
    return "qemu"
