"""Credentials in the form each tool reads."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from cli.env import variables
from cli.install import install
from cli.main import main
from core.installation import Installation


@pytest.fixture
def cloud(tmp_path: Path) -> Installation:
    installation = Installation(tmp_path / "a cloud's data")
    install(
        installation,
        devices=("1",),
        listen="0.0.0.0",
        object_port=8123,
        api_port=5000,
        proxy_count=1,
    )
    return installation


def output(cloud: Installation, form: str) -> str:
    result = CliRunner().invoke(main, ["env", "--data", str(cloud.data), "--format", form])
    assert result.exit_code == 0, result.output
    return result.output


def test_every_form_says_the_same(cloud: Installation) -> None:
    """A shell that evaluates it, a JSON reader and a YAML reader see one set of values."""
    expected = variables(cloud)
    assert expected["AWS_ENDPOINT_URL"] == "http://127.0.0.1:8123"
    assert expected["AWS_SECRET_ACCESS_KEY"] == cloud.secrets().secret_key
    assert json.loads(output(cloud, "json")) == expected
    shell = subprocess.run(
        ["bash", "-c", f"{output(cloud, 'sh')}\nenv -0"], capture_output=True, text=True, check=True
    )
    seen = dict(line.partition("=")[::2] for line in shell.stdout.split("\0"))
    assert expected.items() <= seen.items()
    auth = yaml.safe_load(output(cloud, "clouds.yaml"))["clouds"]["ringstack"]["auth"]
    assert auth == {
        "auth_url": expected["OS_AUTH_URL"],
        "username": expected["OS_USERNAME"],
        "password": expected["OS_PASSWORD"],
        "user_domain_id": "default",
        "project_name": expected["OS_PROJECT_NAME"],
        "project_domain_id": "default",
    }
    assert expected["ST_USER"] == f"{expected['OS_PROJECT_NAME']}:{expected['OS_USERNAME']}"


def test_without_a_cloud_there_are_no_credentials(tmp_path: Path) -> None:
    """One line that says what to do, and a status that scripts can see."""
    result = CliRunner().invoke(main, ["env", "--data", str(tmp_path / "none")])
    assert result.exit_code == 1
    assert "ringstack up" in result.output
    assert "Traceback" not in result.output
