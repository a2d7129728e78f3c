"""What clients of a proxy see while most replicas of a name are away."""

from __future__ import annotations

import pytest

from core.errors import Unavailable
from proxy.store.registers import NO_MAJORITY_S
from tests.unit.proxy_store.cloud import Cloud, on_cloud


def test_without_a_majority_the_first_waits_and_later_ones_hear_at_once() -> None:
    """Replicas that restart are waited for; those that have been gone for long are not, one request after another."""

    async def work(cloud: Cloud) -> None:
        await cloud.put("o", b"x")
        for number in range(4):
            cloud.kill(number)
        waits = []
        for again in range(3):
            began = cloud.loop.now
            with pytest.raises(Unavailable, match="no majority"):
                await (cloud.get("o") if again != 1 else cloud.put("o", b"y"))
            waits.append(cloud.loop.now - began)
        assert NO_MAJORITY_S <= waits[0] < NO_MAJORITY_S + 1
        assert max(waits[1:]) < 0.1

    on_cloud(work)
