"""One running site for the package; each test has buckets of its own."""

from __future__ import annotations

import itertools

import pytest

from tests.unit.proxy_s3.site import Site

_COUNT = itertools.count(1)


@pytest.fixture(scope="session")
def site():
    running = Site()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def s3(site):
    return site.client()


@pytest.fixture
def bucket(s3):
    name = f"bucket-{next(_COUNT)}"
    s3.create_bucket(Bucket=name)
    return name
