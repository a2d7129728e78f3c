"""What we import is ours, or installed; and the arrows between packages point one way."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from tests.tidy.source import PACKAGES, ROOT, modules


def test_our_packages_are_found_in_this_tree() -> None:
    """Names such as `ring` and `proxy` exist elsewhere too; ours must win."""
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        assert Path(spec.origin).is_relative_to(ROOT), f"{package} comes from {spec.origin}"


def test_every_import_of_ours_names_a_file_of_ours() -> None:
    """No module is imported that is not there."""
    for module in modules():
        for name in module.imports():
            if name.partition(".")[0] not in PACKAGES:
                continue
            path = ROOT.joinpath(*name.split("."))
            parent = path.parent
            known = (
                path.is_dir()
                or path.with_suffix(".py").exists()
                or parent.with_suffix(".py").exists()
                or (parent / "__init__.py").exists()
            )
            assert known, f"{module.path} imports {name}"


def test_everything_else_is_declared() -> None:
    """A library that is imported is in requirements.txt or the standard library."""
    listed = (ROOT / "requirements.txt").read_text().lower().replace("-", "_")
    distributions = {
        "pyeclib": "pyeclib",
        "yaml": "pyyaml",
        "ec_iface": "pyeclib",
        "argon2": "argon2_cffi",
        "jwt": "pyjwt",
    }
    distributions |= {"oslo_policy": "oslo.policy", "oslo_config": "oslo.config"}
    for module in modules(*(one for one in PACKAGES if one != "bench")):
        for name in module.imports():
            top = name.partition(".")[0]
            if top in PACKAGES or top in sys.stdlib_module_names or top == "__future__":
                continue
            wanted = distributions.get(top, top).lower()
            assert f"\n{wanted}==" in "\n" + listed, f"{module.path} imports {top}"


def test_the_contracts_hold() -> None:
    """Layers, the store without HTTP, dialects apart: as pyproject.toml says."""
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
