"""Tempest, OpenStack's own conformance suite: `tempest.api.identity` in full.

It has a virtual environment of its own, made at the first run and kept in `.venv/tempest`, and its own cloud, because
its tests of password rules need a service with these rules. What does not pass is listed here with its reason, as in
docs/conformance-identity.md; a test that passes although it is listed fails the run too.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from authd.settings import FILE
from tests.running_cloud import RunningCloud

ROOT = Path(__file__).parents[2]
VENV = ROOT / ".venv" / "tempest"
TEMPEST = "tempest==47.0.0"
RESULT = re.compile(
    r"^\{\d+\} (?P<name>[\w.]+)(?:\[.*\])? .*\.\.\. (?P<result>ok|FAILED|SKIPPED)", re.MULTILINE
)
TEST_COUNT_MIN = 130
SETTINGS = {
    "lockout_failure_attempts": 2,
    "lockout_duration_s": 5,
    "unique_last_password_count": 2,
}
OAUTH = "tempest.api.identity.admin.v3.test_oauth_consumers.OAUTHConsumersV3Test"
# OS-OAUTH1 is an optional extension that is not there.
NOT_PASSED = {
    f"{OAUTH}.test_create_and_show_consumer",
    f"{OAUTH}.test_delete_consumer",
    f"{OAUTH}.test_list_consumers",
    f"{OAUTH}.test_update_consumer",
}


@pytest.fixture(scope="module")
def tempest() -> Path:
    """The directory of tempest's commands."""
    commands = VENV / "bin"
    if not (commands / "tempest").exists():
        venv.create(VENV, with_pip=True, clear=True)
        subprocess.run([commands / "pip", "install", "--quiet", TEMPEST], check=True, timeout=600)
    return commands


@pytest.fixture(scope="module")
def strict_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """A cloud with the password rules that tempest expects."""
    data = tmp_path_factory.mktemp("tempest") / "data"
    (data / "policy").mkdir(parents=True)
    (data / "policy" / FILE).write_bytes(msgspec.json.encode(SETTINGS))
    running = RunningCloud(data)
    running.up()
    yield running
    running.down()


def configuration(cloud: RunningCloud, workspace: Path) -> str:
    """tempest.conf: dynamic credentials, system-scoped administrator and reader."""
    env = cloud.env
    return f"""\
[DEFAULT]
log_dir = {workspace}/logs
[oslo_concurrency]
lock_path = {workspace}/lock
[auth]
use_dynamic_credentials = true
admin_username = {env["OS_USERNAME"]}
admin_password = {env["OS_PASSWORD"]}
admin_project_name = {env["OS_PROJECT_NAME"]}
admin_domain_name = Default
admin_user_domain_name = Default
admin_project_domain_name = Default
create_isolated_networks = false
[identity]
uri_v3 = {env["OS_AUTH_URL"]}
auth_version = v3
region = {env["OS_REGION_NAME"]}
v3_endpoint_type = public
use_system_token = true
user_lockout_failure_attempts = {SETTINGS["lockout_failure_attempts"]}
user_lockout_duration = {SETTINGS["lockout_duration_s"]}
user_unique_last_password_count = {SETTINGS["unique_last_password_count"]}
[identity-feature-enabled]
api_v2 = false
trust = true
access_rules = true
security_compliance = true
[enforce_scope]
keystone = true
[service_available]
swift = false
glance = false
cinder = false
nova = false
neutron = false
"""


@pytest.mark.slow
def test_tempest_finds_the_identity_api_as_documented(
    strict_cloud: RunningCloud, tempest: Path, tmp_path: Path
) -> None:
    """All of tempest.api.identity passes but what is listed; nothing is skipped."""
    workspace = tmp_path / "workspace"
    own = {**os.environ, "HOME": str(tmp_path)}  # where it keeps a list of workspaces
    subprocess.run(
        [tempest / "tempest", "init", workspace],
        check=True,
        capture_output=True,
        env=own,
        timeout=120,
    )
    (workspace / "etc" / "tempest.conf").write_text(configuration(strict_cloud, workspace))
    done = subprocess.run(
        [
            tempest / "tempest",
            "run",
            "--regex",
            r"^tempest\.api\.identity",
            "--concurrency",
            "2",
        ],
        cwd=workspace,
        env=own,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    results = {found["name"]: found["result"] for found in RESULT.finditer(done.stdout)}
    counts = Counter(results.values())
    sys.stdout.write(f"tempest.api.identity: {dict(counts)}\n")
    assert len(results) >= TEST_COUNT_MIN, done.stdout[-3000:] + done.stderr[-3000:]
    missed = {name for name, result in results.items() if result != "ok"}
    assert missed == NOT_PASSED, done.stdout[-20_000:]
