from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from cli.ring import parse_policy
from core.errors import Refused
from ring.goal import Throttle
from ring.store import RingStore


class Operator:
    """Runs `ringstack ring` on one data directory."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def run(self, command: str, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["ring", command, "--data", str(self.data), *arguments])

    def ok(self, command: str, *arguments: str) -> str:
        result = self.run(command, *arguments)
        assert result.exit_code == 0, result.output
        return result.output

    def json(self, command: str, *arguments: str) -> Any:
        return json.loads(self.ok(command, "--json", *arguments))

    def fails(self, command: str, *arguments: str) -> str:
        result = self.run(command, *arguments)
        assert result.exit_code != 0, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.output

    def add(self, number: int) -> None:
        name = f"n{number // 2}"
        where = ("--node", name, "--address", f"unix:run/{name}.sock")
        self.ok("add", *where, "--path", f"disks/{number}")


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """A ring of four devices on two nodes, at epoch 1."""
    made = Operator(tmp_path / "cloud")
    made.ok(
        "create", "--part-power", "6", "--policy", "gold:replicated:3", "--policy", "ec:erasure:2+1"
    )
    for number in range(4):
        made.add(number)
    made.ok("apply")
    return made


def test_a_ring_is_created_filled_and_applied(operator: Operator) -> None:
    """The first epoch has all devices and both policies, and nothing is staged."""
    status = operator.json("status")
    assert (status["epoch"], status["partitions"], status["devices"]) == (1, 64, 4)
    assert status["staged"] == status["damaged"] == []
    assert [table["dispersion_percent"] for table in status["tables"]] == [0]
    shown = operator.json("show")
    assert [policy["name"] for policy in shown["policies"]] == ["gold", "ec"]
    assert shown["policies"][1]["codec"] == "isa_l_rs_cauchy"
    assert [device["partitions"] for device in shown["devices"]] == [{"3": 48}] * 4


def test_a_ring_is_created_once(operator: Operator) -> None:
    """A second create would forget the first."""
    assert "a ring" in operator.fails("create")


def test_the_plan_shows_what_apply_then_does(operator: Operator) -> None:
    """Partitions in and out per device, and bytes; status lists what is staged."""
    operator.add(4)
    operator.ok("set-weight", "0", "50")
    plan = operator.json("plan")
    assert (plan["from_epoch"], plan["to_epoch"], plan["pending"]) == (1, 3, 0)
    assert plan["staged"] == ["add device 4 (device-4)", "device 0: weight 100 to 50"]
    assert operator.json("status")["staged"] == plan["staged"]
    incoming = {row["device"]: row["partitions_in"] for row in plan["devices"]}
    assert incoming[4] == plan["partitions"] > 0
    assert plan["bytes"] == 0
    assert operator.json("apply") == plan | {"moving": False}
    held = {device["id"]: device["partitions"]["3"] for device in operator.json("show")["devices"]}
    assert held[4] == plan["partitions"]


def test_applying_nothing_writes_nothing(operator: Operator) -> None:
    """The epoch stays 1."""
    assert "Nothing would change" in operator.ok("plan")
    assert "Nothing is staged" in operator.ok("apply")
    assert RingStore(operator.data / "ring").numbers() == [1]


def test_a_removed_device_leaves_with_the_next_epochs(operator: Operator) -> None:
    """And its id is not given to the next device while an epoch lists it."""
    operator.add(4)
    operator.ok("apply")
    operator.ok("remove", "4")
    operator.ok("add", "--address", "unix:run/x.sock", "--path", "disks/x", "--name", "extra")
    operator.ok("apply")
    assert [device["id"] for device in operator.json("show")["devices"]] == [0, 1, 2, 3, 5]


def test_devices_that_hold_data_move_it_while_the_cloud_runs(operator: Operator) -> None:
    """The plan knows the bytes; apply makes the wanted ring the goal and leaves the epoch alone."""
    operator.add(4)
    log = operator.data / "disks" / "2" / "log"
    log.mkdir(parents=True)
    (log / "000001.seg").write_bytes(b"x" * 4800)
    plan = operator.json("plan")
    out = {row["device"]: row for row in plan["devices"]}
    assert out[2]["bytes_out"] == 100 * out[2]["partitions_out"]
    assert "once the cloud runs" in operator.ok("apply")
    status = operator.json("status")
    assert (status["epoch"], status["moving"], status["paused"]) == (1, True, False)
    goal = RingStore(operator.data / "ring").goal()
    assert goal is not None
    assert [device.id for device in goal.draft.devices] == [0, 1, 2, 3, 4]
    assert goal.planned_parts == plan["partitions"]


def test_a_change_is_paused_throttled_and_aborted(operator: Operator) -> None:
    """Each is a new version of the throttle; an aborted change has the old devices as its goal."""
    assert "no change" in operator.fails("abort")
    operator.add(4)
    (operator.data / "disks" / "2" / "log").mkdir(parents=True)
    (operator.data / "disks" / "2" / "log" / "000001.seg").write_bytes(b"x")
    operator.ok("apply")
    operator.ok("pause")
    assert operator.json("status")["paused"]
    operator.ok("throttle", "7")
    operator.ok("resume")
    store = RingStore(operator.data / "ring")
    assert store.throttle() == Throttle(3, False, 7 * 1024 * 1024)
    operator.ok("abort")
    goal = store.goal()
    assert goal is not None
    assert goal.back
    assert [device.id for device in goal.draft.devices] == [0, 1, 2, 3]
    assert operator.json("status")["staged"] == []


def test_a_lost_device_is_replaced_by_a_new_one_in_its_place(operator: Operator) -> None:
    """Another id, the same directory, address and weight."""
    before = {one["id"]: one for one in operator.json("show")["devices"]}
    operator.ok("replace", "2")
    operator.ok("apply")
    after = {one["id"]: one for one in operator.json("show")["devices"]}
    assert after.keys() == {0, 1, 3, 4}
    for field in ("path", "address", "weight", "zone", "node"):
        assert after[4][field] == before[2][field]
    operator.ok("drain", "4")
    assert operator.json("status")["staged"] == ["device 4: weight 100 to 0"]


def test_an_account_is_located_and_a_container_is_not(operator: Operator) -> None:
    """Account records are placed by name; where a container lives only the cloud knows."""
    account = operator.json("locate", "AUTH_test")
    assert len(account["primaries"]) == 3
    assert account["note"] is None
    deeper = operator.json("locate", "AUTH_test", "photos", "cat.jpg")
    assert deeper["primaries"] == account["primaries"]
    assert "photos" in deeper["note"]
    assert "running cloud" in operator.ok("locate", "AUTH_test", "photos")


def test_a_key_is_located_under_a_policy(operator: Operator) -> None:
    """A blob id in hexadecimal; the policy by any case."""
    found = operator.json("locate", "--key", "00ff" * 8, "--policy", "EC")
    assert found["key"] == "00ff" * 8
    assert len(found["primaries"]) == 3
    assert [one["id"] for one in found["handoffs"]] != []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("locate",), "Give either"),
        (("locate", "a", "--key", "00"), "Give either"),
        (("locate", "a", "b", "c", "d"), "Give either"),
        (("locate", "--key", "zz"), "hexadecimal"),
        (("locate", "--key", "00", "--policy", "no"), "no policy no"),
        (("set-weight", "9", "1"), "no device 9"),
        (("remove", "9"), "no device 9"),
        (("add", "--address", "nowhere", "--path", "x"), "none of unix"),
        (("add", "--node", "n9", "--path", "x"), "--address"),
        (("add", "--node", "n/9", "--address", "unix:x", "--path", "x"), "node 'n/9'"),
        (("add", "--address", "unix:x", "--path", "x", "--name", "device-1"), "already"),
    ],
)
def test_mistakes_get_one_clear_line(
    operator: Operator, arguments: tuple[str, ...], message: str
) -> None:
    """Exit code not 0, no traceback."""
    output = operator.fails(*arguments)
    assert message in output
    assert "Traceback" not in output


def test_commands_before_create_say_so(tmp_path: Path) -> None:
    """An empty directory is no ring."""
    for command in ("plan", "apply", "status", "show"):
        assert "no ring" in Operator(tmp_path).fails(command)


def test_too_few_devices_are_told(tmp_path: Path) -> None:
    """Plan and apply refuse alike, and write nothing."""
    made = Operator(tmp_path)
    made.ok("create")
    made.add(0)
    for command in ("plan", "apply"):
        assert "3 replicas need 3 devices" in made.fails(command)
    assert made.json("status")["epoch"] is None


def test_a_damaged_epoch_is_reported(operator: Operator) -> None:
    """Status falls back to the last whole one and names the file."""
    (operator.data / "ring" / "ring-000002.epoch").write_bytes(b"torn")
    status = operator.json("status")
    assert status["epoch"] == 1
    assert "ring-000002.epoch" in status["damaged"][0]
    assert "damaged" in operator.ok("status")


def test_tables_for_people_name_the_same_facts(operator: Operator) -> None:
    """Every list has a readable form too."""
    assert "Epoch 1: 64 partitions, 4 devices." in operator.ok("status")
    assert "device-3" in operator.ok("show")
    assert "erasure 2+1" in operator.ok("show", "--staged")
    assert "hand-off 0" in operator.ok("locate", "AUTH_test")
    operator.add(4)
    assert "would move" in operator.ok("plan")
    assert "epoch 3" in operator.ok("apply")


@pytest.mark.parametrize("spec", ["", "gold", "gold:replicated", "gold:replicated:x", "a:b:3"])
@pytest.mark.parametrize("suffix", ["", ":erasure:4", ":erasure:4+"])
def test_a_policy_that_cannot_be_read_is_refused(spec: str, suffix: str) -> None:
    """With the two forms that can."""
    with pytest.raises(Refused, match="NAME:erasure"):
        parse_policy(0, spec + suffix)


def test_an_erasure_policy_may_name_its_codec() -> None:
    """K+M and a codec; only policy 0 is the default."""
    policy = parse_policy(1, "cold:erasure:4+2:zfec")
    assert (policy.data, policy.parity, policy.codec, policy.is_default) == (4, 2, "zfec", False)
