"""`ringstack env`: the root credentials of this cloud, in the form each tool reads."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from cli.options import data_option
from core.installation import Installation


def variables(installation: Installation) -> dict[str, str]:
    """Environment variables of the S3 and Swift clients."""
    config, secrets = installation.config(), installation.secrets()
    host = "127.0.0.1" if config.listen in {"0.0.0.0", "::"} else config.listen  # noqa: S104
    url = f"http://{host}:{config.object_port}"
    return {
        "AWS_ACCESS_KEY_ID": secrets.access_key,
        "AWS_SECRET_ACCESS_KEY": secrets.secret_key,
        "AWS_DEFAULT_REGION": config.region,
        "AWS_ENDPOINT_URL": url,
        "ST_AUTH": f"{url}/auth/v1.0",
        "ST_USER": secrets.user,
        "ST_KEY": secrets.key,
        "ST_AUTH_VERSION": "1.0",
    }


def clouds_yaml(values: dict[str, str]) -> str:
    """A cloud named `ringstack` for openstacksdk, with Swift's own log-in."""
    return (
        "clouds:\n"
        "  ringstack:\n"
        "    auth_type: v1password\n"
        "    auth:\n"
        f"      auth_url: {values['ST_AUTH']}\n"
        f"      username: {json.dumps(values['ST_USER'])}\n"
        f"      password: {json.dumps(values['ST_KEY'])}\n"
    )


@click.command()
@data_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["sh", "clouds.yaml", "json"]),
    default="sh",
    show_default=True,
)
def env(data: Path, *, form: str) -> None:
    """Credentials of this cloud for the usual tools."""
    values = variables(Installation(data))
    if form == "json":
        click.echo(json.dumps(values, indent=2))
    elif form == "clouds.yaml":
        click.echo(clouds_yaml(values), nl=False)
    else:
        for name, value in values.items():
            click.echo(f"export {name}={shlex.quote(value)}")
