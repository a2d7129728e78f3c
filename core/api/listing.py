"""Answers that hold collections: rows, links and the mark that there are more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode

from core.api.call import Call
from core.api.query import page_of

PAGE_ROWS_MAX = 10_000

Render = Callable[[Call, dict[str, Any]], dict[str, Any]]


def collection(
    call: Call, name: str, rows: Iterable[dict[str, Any]], render: Render, *filters: str
) -> dict[str, Any]:
    """One page of `rows` (sorted by id) under `name`, each as `render` shows it.

    `filters` are the attributes that `name__contains` and its like may use. Links as the Identity API has them.
    """
    page = page_of(rows, call.query, *filters, limit_max=PAGE_ROWS_MAX)
    own = call.base + call.route.path.format(**call.variables)
    query = f"?{call.request.query}" if call.request.query else ""
    links: dict[str, Any] = {"next": None, "self": own + query, "previous": None}
    body: dict[str, Any] = {name: [render(call, row) for row in page.rows], "links": links}
    if page.truncated:
        fields = [field for field in call.query.fields if field[0] != "marker"]
        links["next"] = own + "?" + urlencode([*fields, ("marker", page.rows[-1]["id"])])
        body["truncated"] = True
    return body
