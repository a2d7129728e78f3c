"""The conformance page says what the routing table and /info say."""

from __future__ import annotations

import pathlib

from proxy.swift import front

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "conformance-swift.md"
TABLES = {"account": front.ACCOUNT, "container": front.CONTAINER, "object": front.OBJECT}


def rows():
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[1].startswith(("yes", "no")):
            yield cells[0], cells[1]


def test_every_operation_stands_in_the_page_as_it_is_built():
    listed = dict(rows())
    for level, table in TABLES.items():
        for method in table:
            assert f"{method} {level}" in listed
        for operation, built in listed.items():
            method, _, target = operation.partition(" ")
            if target == level and method != "OPTIONS" and built == "yes":
                assert method in table
    for path in ("GET /info", "GET /healthcheck", "GET /auth/v1.0"):
        assert listed[path] == "yes"


def test_features_of_info_are_called_built(swift):
    listed = dict(rows())
    named = {
        "slo": "Static large objects",
        "dlo": "Dynamic large objects",
        "bulk_delete": "Bulk delete",
        "bulk_upload": "Bulk upload",
        "tempurl": "Temporary URLs",
        "formpost": "Form uploads",
        "symlink": "Symbolic links",
        "container_quotas": "Container quotas",
        "account_quotas": "Account quotas",
        "tempauth": "Account ACLs",
    }
    info = swift.request("GET", "/info").json()
    assert set(info) == {"swift", *named}
    for feature in named.values():
        assert listed[feature] == "yes"
