"""Cross-origin requests and OPTIONS."""

from __future__ import annotations

import pytest

ORIGIN = {"Origin": "http://page.example"}


@pytest.fixture
def box(swift):
    headers = {
        "X-Container-Meta-Access-Control-Allow-Origin": "http://page.example http://b.example"
    }
    headers["X-Container-Meta-Access-Control-Max-Age"] = "60"
    headers["X-Container-Meta-Access-Control-Expose-Headers"] = "X-Special"
    swift("PUT", "c", headers=headers)
    swift("PUT", "c", "o", body=b"x", headers={"X-Object-Meta-A": "1"})
    return swift


def test_options_without_an_origin_says_what_may_be_done(box):
    answer = box("OPTIONS", "c", "o", token=False)
    assert answer.status == 200
    assert answer.header("allow") == "GET, HEAD, PUT, POST, DELETE, COPY, OPTIONS"
    assert box("OPTIONS", token=False).status == 200


def test_preflights(box):
    ask = {
        **ORIGIN,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "x-auth-token",
    }
    answer = box("OPTIONS", "c", "o", headers=ask, token=False)
    assert answer.status == 200
    assert answer.header("access-control-allow-origin") == "http://page.example"
    assert "PUT" in answer.header("access-control-allow-methods")
    assert answer.header("access-control-allow-headers") == "x-auth-token"
    assert answer.header("access-control-max-age") == "60"
    assert box("OPTIONS", "c", "o", headers=ORIGIN, token=False).status == 401
    assert (
        box("OPTIONS", "c", "o", headers={**ask, "Origin": "http://evil"}, token=False).status
        == 401
    )
    assert (
        box(
            "OPTIONS",
            "c",
            "o",
            headers={**ask, "Access-Control-Request-Method": "LICK"},
            token=False,
        ).status
        == 401
    )
    assert box("OPTIONS", "nope", "o", headers=ask, token=False).status == 401


def test_answers_to_an_allowed_origin_can_be_read(box):
    answer = box("GET", "c", "o", headers=ORIGIN)
    assert answer.header("access-control-allow-origin") == "http://page.example"
    exposed = answer.header("access-control-expose-headers").split(", ")
    assert {"etag", "x-object-meta-a", "x-special", "x-trans-id"} <= set(exposed)
    assert box("GET", "c", "nope", headers=ORIGIN).header("access-control-allow-origin")
    assert box("GET", "c", "o", headers=ORIGIN, token=False).header("access-control-allow-origin")
    evil = box("GET", "c", "o", headers={"Origin": "http://evil"})
    assert (evil.status, evil.header("access-control-allow-origin")) == (200, None)


def test_any_origin(box):
    box("POST", "c", headers={"X-Container-Meta-Access-Control-Allow-Origin": "*"})
    assert box("GET", "c", "o", headers=ORIGIN).header("access-control-allow-origin") == "*"
