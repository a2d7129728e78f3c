"""People's own tools store a real tree, list it, read it back, unchanged, also while daemons are killed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests import installing
from tests.running_cloud import Killer, RunningCloud, differences

pytestmark = pytest.mark.slow


def file_count(root: Path) -> int:
    return sum(path.is_file() for path in root.rglob("*"))


def rclone_config(cloud: RunningCloud, where: Path) -> Path:
    env = cloud.env
    path = where / "rclone.conf"
    path.write_text(
        f"[s3]\ntype = s3\nprovider = Other\naccess_key_id = {env['AWS_ACCESS_KEY_ID']}\n"
        f"secret_access_key = {env['AWS_SECRET_ACCESS_KEY']}\nendpoint = {env['AWS_ENDPOINT_URL']}\n"
        f"[swift]\ntype = swift\nuser = {env['ST_USER']}\nkey = {env['ST_KEY']}\n"
        f"auth = {env['ST_AUTH']}\n"
    )
    return path


@pytest.fixture(scope="module")
def synced(cloud: RunningCloud, tree: Path) -> RunningCloud:
    """The tree in the bucket `synced`, stored by `aws s3 sync` while daemons were killed."""
    cloud.run("aws", "s3", "mb", "s3://synced")
    with Killer(cloud, seed=1) as killer:
        cloud.run("aws", "s3", "sync", tree, "s3://synced", "--only-show-errors")
    assert len(killer.killed) >= 3, killer.killed
    return cloud


def test_awscli_syncs_a_tree_both_ways_while_daemons_are_killed(
    synced: RunningCloud, tree: Path, tmp_path: Path
) -> None:
    """Every acknowledged object reads back right; the client saw retries at most."""
    back = tmp_path / "back"
    synced.run("aws", "s3", "sync", "s3://synced", back, "--only-show-errors")
    assert differences(tree, back) == []


def test_everything_survives_a_kill_of_the_whole_cloud(synced: RunningCloud, tree: Path) -> None:
    """After kill -9 of all processes and a restart, the tree reads back through Swift byte for byte."""
    cloud = synced
    cloud.kill_everything()
    cloud.up()
    config = rclone_config(cloud, cloud.data.parent)
    done = cloud.run(
        "rclone", "--config", config, "check", "--download", tree, "swift:synced", "--one-way"
    )
    assert f"{file_count(tree)} matching files" in done.stderr


def test_an_index_that_was_deleted_is_rebuilt_from_the_log(synced: RunningCloud) -> None:
    """Without the LMDB directories, a restart gives the same listing."""
    cloud = synced
    listing = ("aws", "s3api", "list-objects-v2", "--bucket", "synced", "--output", "json")
    before = json.loads(cloud.run(*listing).stdout)["Contents"]
    cloud.down()
    for index in cloud.data.glob("devices/*/index"):
        shutil.rmtree(index)
    cloud.up()
    assert json.loads(cloud.run(*listing).stdout)["Contents"] == before


def test_rclone_copies_through_both_apis(cloud: RunningCloud, tree: Path) -> None:
    """A tree written through Swift is the same tree through S3, checked by downloading."""
    config = rclone_config(cloud, cloud.data.parent)
    rclone = ("rclone", "--config", config, "--transfers", "8", "--checkers", "16")
    cloud.run(*rclone, "copy", tree, "swift:rcloned")
    done = cloud.run(*rclone, "check", "--download", tree, "s3:rcloned")
    assert f"{file_count(tree)} matching files" in done.stderr
    cloud.run(*rclone, "copy", "s3:rcloned/share", "s3:rcloned-again/share")
    cloud.run(*rclone, "check", tree / "share", "swift:rcloned-again/share")


def test_awscli_uses_multipart_for_large_files(cloud: RunningCloud, tmp_path: Path) -> None:
    """A 40 MB file goes up in parts and comes down whole."""
    source = tmp_path / "large.bin"
    source.write_bytes(bytes(range(256)) * 160_000)
    cloud.run("aws", "s3", "mb", "s3://parts")
    cloud.run("aws", "s3", "cp", source, "s3://parts/large.bin", "--only-show-errors")
    head = json.loads(
        cloud.run("aws", "s3api", "head-object", "--bucket", "parts", "--key", "large.bin").stdout
    )
    assert head["ETag"].endswith('-5"')
    cloud.run("aws", "s3", "cp", "s3://parts/large.bin", tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == source.read_bytes()


def test_s3cmd_stores_and_returns_a_tree(cloud: RunningCloud, tree: Path, tmp_path: Path) -> None:
    """s3cmd, with its own signer and checks, on the part of the tree that Python's library makes."""
    env = cloud.env
    host = env["AWS_ENDPOINT_URL"].removeprefix("http://")
    config = tmp_path / "s3cfg"
    config.write_text(
        f"[default]\naccess_key = {env['AWS_ACCESS_KEY_ID']}\n"
        f"secret_key = {env['AWS_SECRET_ACCESS_KEY']}\nhost_base = {host}\n"
        f"host_bucket = {host}\nuse_https = False\n"
    )
    part = tmp_path / "part"
    for path in sorted(tree.rglob("*"))[:800]:
        if path.is_file():
            (part / path.relative_to(tree)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, part / path.relative_to(tree))
    s3cmd = ("s3cmd", "-c", config, "--no-progress", "-q")
    cloud.run(*s3cmd, "mb", "s3://s3cmd")
    cloud.run(*s3cmd, "sync", f"{part}/", "s3://s3cmd/")
    cloud.run(*s3cmd, "sync", "s3://s3cmd/", f"{tmp_path}/back/")
    assert differences(part, tmp_path / "back") == []


def test_the_swift_client_uploads_in_segments(cloud: RunningCloud, tmp_path: Path) -> None:
    """A segmented upload is a static large object that S3 reads as one."""
    source = tmp_path / "big.bin"
    source.write_bytes(bytes(range(251)) * 120_000)
    cloud.run("swift", "upload", "-S", "8000000", "segmented", "big.bin", cwd=tmp_path)
    cloud.run("swift", "download", "segmented", "big.bin", "-o", tmp_path / "swift.bin")
    assert (tmp_path / "swift.bin").read_bytes() == source.read_bytes()
    cloud.run("aws", "s3", "cp", "s3://segmented/big.bin", tmp_path / "s3.bin")
    assert (tmp_path / "s3.bin").read_bytes() == source.read_bytes()


def test_the_swift_client_uploads_a_tree(cloud: RunningCloud, tree: Path, tmp_path: Path) -> None:
    """swift upload and download of a directory."""
    part = next(path for path in sorted(tree.iterdir()) if path.is_dir())
    cloud.run("swift", "--quiet", "upload", "treed", part.name, cwd=tree)
    cloud.run("swift", "--quiet", "download", "treed", "-D", tmp_path / "back")
    assert differences(part, tmp_path / "back" / part.name) == []


def restic() -> str:
    """Path of restic, installed from Debian when it is missing."""
    installing.debian(lambda: set() if shutil.which("restic") else {"restic"})
    found = shutil.which("restic")
    assert found is not None
    return found


def test_restic_backs_up_and_checks_every_byte(
    cloud: RunningCloud, tree: Path, tmp_path: Path
) -> None:
    """restic init, backup, check --read-data and restore, while daemons are killed."""
    program = restic()
    cloud.env["RESTIC_PASSWORD"] = "a test's password"
    cloud.env["RESTIC_REPOSITORY"] = f"s3:{cloud.env['AWS_ENDPOINT_URL']}/restic"
    cloud.run(program, "init")
    with Killer(cloud, seed=2):
        cloud.run(program, "backup", tree)
    cloud.run(program, "check", "--read-data")
    cloud.run(program, "restore", "latest", "--target", tmp_path / "back")
    assert differences(tree, tmp_path / "back" / tree.relative_to("/")) == []
