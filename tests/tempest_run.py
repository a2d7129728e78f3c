"""Tempest, OpenStack's own conformance suite, in a virtual environment of its own that is kept in `.venv/tempest`."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests import installing
from tests.running_cloud import RunningCloud

ROOT = Path(__file__).parents[1]
VENV = ROOT / ".venv" / "tempest"
TEMPEST = "tempest==47.0.0"
SERVICES = ("swift", "glance", "cinder", "nova", "neutron")
RESULT = re.compile(
    r"^\{\d+\} (?P<name>(?:setUpClass \(|tearDownClass \()?[\w.]+).*\.\.\. (?P<result>ok|FAILED|SKIPPED)",
    re.MULTILINE,
)
Section = Mapping[str, object]


def configuration(cloud: RunningCloud, workspace: Path, *services: str, **sections: Section) -> str:
    """tempest.conf: dynamic credentials of this cloud's administrator, the services that are there, and more settings.

    Of a section's name `_feature_enabled` is written with hyphens.
    """
    env = cloud.env
    region = env["OS_REGION_NAME"]
    own: dict[str, Section] = {
        "DEFAULT": {"log_dir": workspace / "logs"},
        "oslo_concurrency": {"lock_path": workspace / "lock"},
        "auth": {
            "use_dynamic_credentials": True,
            "admin_username": env["OS_USERNAME"],
            "admin_password": env["OS_PASSWORD"],
            "admin_project_name": env["OS_PROJECT_NAME"],
            "admin_domain_name": "Default",
            "admin_user_domain_name": "Default",
            "admin_project_domain_name": "Default",
            "create_isolated_networks": "neutron" in services,
        },
        "identity": {
            "uri_v3": env["OS_AUTH_URL"],
            "auth_version": "v3",
            "region": region,
            "v3_endpoint_type": "public",
        },
        "identity_feature_enabled": {"api_v2": False},
        "service_available": {name: name in services for name in SERVICES},
        "image": {"region": region},
        "volume": {"region": region},
        "compute": {"region": region},
        "network": {"region": region},
    }
    lines = []
    for name in own | sections:
        title = name.replace("_feature_enabled", "-feature-enabled")
        lines.append(f"[{title}]")
        values = {**own.get(name, {}), **sections.get(name, {})}
        lines += [f"{key} = {value}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def run(
    workspace: Path, configuration: str, regex: str, *, concurrency: int, timeout_s: float
) -> tuple[dict[str, str], str]:
    """Results (`ok`, `FAILED`, `SKIPPED`) by name of test or of a class's set-up, and the whole output."""
    own = {**os.environ, "HOME": str(workspace.parent)}  # where it keeps a list of workspaces
    tempest = installing.environment(VENV, TEMPEST) / "tempest"
    subprocess.run(
        [tempest, "init", workspace], check=True, capture_output=True, env=own, timeout=120
    )
    (workspace / "etc" / "tempest.conf").write_text(configuration)
    done = subprocess.run(
        [tempest, "run", "--regex", regex, "--concurrency", str(concurrency)],
        cwd=workspace,
        env=own,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    output = done.stdout + done.stderr
    return {found["name"]: found["result"] for found in RESULT.finditer(done.stdout)}, output
