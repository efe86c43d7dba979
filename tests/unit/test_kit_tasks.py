"""The tasks that build for a kit are those that build for a host, which need not be reachable then."""

import re
from pathlib import Path

import pytest

ROLES = Path(__file__).resolve().parents[2] / "roles"
# What the role kit knows of a host: what kit_host returns, and what the roles' own collect.yml adds.
KNOWN = {"kind", "python", "glibc"}


def told(role, name, files):
    """What these tasks read of what was found on the host."""
    text = "".join((ROLES / role / "tasks" / f"{file}.yml").read_text() for file in files)
    return set(re.findall(rf"\b{name}\.(\w+)", text))


@pytest.mark.parametrize(
    ("role", "name", "files", "added"),
    [
        ("nginx", "__nginx_found", ["kept", "builder", "build", "sources", "zig"], set()),
        (
            "uwsgi",
            "__uwsgi_found",
            ["once", "builder", "lacks", "wheel", "venv", "virtualenv", "compile", "build", "zig"],
            {"wheel", "wheel_file"},
        ),
        ("uwsgi", "__uwsgi_found", ["requirements", "venv", "virtualenv"], set()),
    ],
)
def test_a_builder_is_told_all_that_its_tasks_read_of_the_host(role, name, files, added):
    assert told(role, name, files) <= KNOWN | added
