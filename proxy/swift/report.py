"""Reports of bulk operations and manifests as text, JSON or XML, and their heartbeat.

A report is a mapping plus a list of (name, status) errors. The answer to a long operation starts at
once with status 200 (or 202) and white space every few seconds; what happened is in the body.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any
from xml.sax.saxutils import escape

import msgspec

from core.errors import RingstackError
from core.http import Response
from proxy.swift.accept import JSON, PLAIN, report_type
from proxy.swift.errors import SwiftError, explanation, status_line, status_of

HEARTBEAT_S = 10.0
XML_HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'
Errors = Sequence[tuple[str, str]]
Report = tuple[dict[str, Any], Errors]


def render(content_type: str, root: str, fields: dict[str, Any], errors: Errors) -> bytes:
    """Body of a report. `root` names the XML element: delete, extract or upload."""
    if content_type == JSON:
        return msgspec.json.encode({**fields, "Errors": [list(error) for error in errors]})
    if content_type == PLAIN:
        lines = [f"{key}: {fields[key]}\n" for key in sorted(fields)]
        lines.append("Errors:\n")
        lines += [f"{name}, {status}\n" for name, status in errors]
        return "".join(lines).encode()
    lines = [f"<{root}>\n"]
    for key in sorted(fields):
        tag = key.replace(" ", "_").lower()
        lines.append(f"<{tag}>{escape(str(fields[key]))}</{tag}>\n")
    lines.append("<errors>\n")
    lines += [
        f"<object><name>{escape(name)}</name><status>{escape(status)}</status></object>\n"
        for name, status in errors
    ]
    lines.append(f"</errors>\n</{root}>\n")
    return "".join(lines).encode()


async def settled(work: Coroutine[Any, Any, Report]) -> Report:
    """Run work whose response has begun: a refusal becomes part of the report."""
    try:
        return await work
    except SwiftError as error:
        text = error.text or explanation(error.status)
        return {"Response Status": status_line(error.status), "Response Body": text}, []
    except RingstackError as error:
        return {
            "Response Status": status_line(status_of(error)),
            "Response Body": error.message,
        }, []


async def reported(
    accept: str | None,
    status: int,
    root: str,
    work: Coroutine[Any, Any, Report],
    *,
    at_once: bool = False,
) -> Response:
    """Answer with the report of `work`: whole when it is done soon, else after white space.

    Until the first heartbeat nothing is sent, so that a client that waits for `100 Continue` can still send
    its body. The answer always comes in chunks, as clients know it. `at_once`: it begins immediately.
    """
    kind = report_type(accept)
    head = [("Content-Type", kind)]
    task = asyncio.get_running_loop().create_task(settled(work))
    try:
        done, _ = await asyncio.wait({task}, timeout=0 if at_once else HEARTBEAT_S)
    except asyncio.CancelledError:
        task.cancel()
        raise
    declaration = XML_HEAD if kind.endswith("/xml") else b""
    if done and not at_once:
        fields, errors = task.result()
        return Response(status, head, _once(declaration + render(kind, root, fields, errors)))
    return Response(status, head, _beats(task, kind, root, declaration))


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _beats(
    task: asyncio.Task[Report], kind: str, root: str, declaration: bytes
) -> AsyncIterator[bytes]:
    yield declaration or b" "
    try:
        while not (await asyncio.wait({task}, timeout=HEARTBEAT_S))[0]:
            yield b" "
        fields, errors = task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    yield b"\r\n\r\n" + render(kind, root, fields, errors)
