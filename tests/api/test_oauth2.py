"""OAuth 2.0 client credentials by keystoneauth: the bearer token opens every service."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.running_cloud import BIN, RunningCloud

# A log-in by keystoneauth, then a request with the headers that it gives.
BEARER = """
import json, sys
from keystoneauth1 import loading, session
import requests
arguments, url = json.loads(sys.argv[1])
plugin = loading.get_plugin_loader("v3oauth2clientcredential").load_from_options(**arguments)
headers = plugin.get_headers(session.Session(auth=plugin))
answer = requests.get(url, headers={"Authorization": headers["Authorization"]}, timeout=30)
print(json.dumps(answer.status_code))
"""


@pytest.mark.slow
def test_an_oauth_client_is_an_application_credential(cloud: RunningCloud) -> None:
    """Its id and secret give an access token for the identity service and for the object store."""
    command = ("openstack", "application", "credential", "create", "oauth", "--secret", "s")
    made: dict[str, Any] = json.loads(cloud.run(*command, "-f", "json").stdout)
    made = {name.lower().replace(" ", "_"): value for name, value in made.items()}
    url = cloud.env["OS_AUTH_URL"]
    client = {
        "auth_url": url,
        "oauth2_endpoint": f"{url}/OS-OAUTH2/token",
        "oauth2_client_id": made["id"],
        "oauth2_client_secret": "s",
    }
    store = f"{cloud.env['AWS_ENDPOINT_URL']}/v1/AUTH_{made['project_id']}"
    for address in (f"{url}/auth/catalog", store):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", BEARER, json.dumps([client, address])],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": str(BIN), "HOME": "/nonexistent"},
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert json.loads(done.stdout) in {200, 204}
