"""Limits come from the identity service's API, are remembered for a while, and outlive its silence."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from core import keyring as keys
from core.api.fault import Fault
from core.keyring import Keyring
from core.service_identity import ServiceIdentity
from imaged import quota
from imaged.limits import IdentityLimits
from tests.identity_site import MovableEnv
from tests.web_server import WebServer


def test_limits_of_a_project(tmp_path: Path) -> None:
    """Defaults, what the project has instead, other services' left out; the last answer counts on."""
    web, env = WebServer(), MovableEnv()
    keys.create(tmp_path, env)
    keyring = Keyring(tmp_path)
    keyring.load()
    limits = IdentityLimits(env, f"{web.url}/identity", ServiceIdentity(env, keyring))

    def serve(name: str, rows: list[dict[str, Any]]) -> None:
        web.files[f"/identity/v3/{name}"] = json.dumps({name: rows}).encode()

    def of(project: str) -> dict[str, int]:
        return dict(asyncio.run(limits.of_project(project)))

    assert of("p") == {}  # nobody answers
    serve("services", [{"id": "s", "type": "image"}])
    serve("registered_limits", [])
    assert of("p") == {}
    env.advance(20)
    serve(
        "registered_limits",
        [
            {"resource_name": "image_count_total", "default_limit": 10},
            {"resource_name": "image_size_total", "default_limit": 100},
            {"resource_name": "volumes", "default_limit": 1},
        ],
    )
    mine = {"resource_name": "image_count_total", "resource_limit": 3, "project_id": "p"}
    serve("limits", [mine])
    assert of("p") == {"image_count_total": 3, "image_size_total": 100}
    assert of("q") == {"image_count_total": 10, "image_size_total": 100}
    asked = len(web.asked)
    assert of("p")["image_count_total"] == 3
    assert len(web.asked) == asked
    env.advance(20)
    web.close()
    assert of("p")["image_count_total"] == 3


def test_what_counts() -> None:
    """Bytes in whole MiB, staged ones apart, images in every state."""
    rows = [
        {"size": 1, "status": "active"},
        {"size": 1 << 20, "status": "uploading"},
        {"size": None, "status": "queued"},
        {"size": None, "status": "saving"},
    ]
    used = quota.usage(rows)
    assert used == {
        "image_size_total": 1,
        "image_stage_total": 1,
        "image_count_total": 4,
        "image_count_uploading": 2,
    }
    quota.check({}, used, quota.COUNT)
    quota.check({quota.COUNT: -1}, used, quota.COUNT)
    quota.check({quota.COUNT: 5}, used, quota.COUNT)
    with pytest.raises(Fault, match="over its limit"):
        quota.check({quota.COUNT: 4}, used, quota.COUNT)
