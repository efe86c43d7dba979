"""The roles' READMEs are what their argument specs say."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("role_readmes", ROOT / "docs/role_readmes.py")
role_readmes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(role_readmes)


@pytest.mark.parametrize("role", sorted(path.name for path in (ROOT / "roles").iterdir()))
def test_readme_is_current(role):
    assert (ROOT / "roles" / role / "README.md").read_text() == role_readmes.readme(role), "run `make docs`"
