"""Which package manager ansible.builtin.package is told to use, and what packages are called."""

import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import packages


@pytest.mark.parametrize(
    "host, manager",
    [
        ({"package_manager": "dnf5", "os_family": "RedHat", "version": "7"}, "dnf5"),
        ({"os_family": "Debian", "version": "12"}, "apt"),
        ({"os_family": "RedHat", "version": "7"}, "yum"),
        ({"os_family": "RedHat", "version": "9"}, "dnf"),
        ({"os_family": "RedHat", "version": None}, "auto"),
        ({}, "auto"),
    ],
)
def test_manager_is_the_fact_or_that_of_the_family(host, manager):
    assert packages.manager(host) == manager


@pytest.mark.parametrize(
    ("family", "major", "python", "headers"),
    [
        ("Debian", "12", "3.11", "python3.11-dev"),
        ("Debian", "24", "3.12", "python3.12-dev"),
        ("RedHat", "7", "3.6", "python3-devel"),
        ("RedHat", "8", "3.6", "python36-devel"),
        ("RedHat", "8", "3.11", "python3.11-devel"),
        ("RedHat", "9", "3.9", "python3-devel"),
        ("RedHat", "9", "3.12", "python3.12-devel"),
        ("RedHat", "10", "3.12", "python3-devel"),
        ("RedHat", "10", "3.13", "python3.13-devel"),
    ],
)
def test_the_headers_of_a_python_by_release(family, major, python, headers):
    names = packages.python_packages_of(family, major)["headers"]
    assert (names.get(python) or names["*"]).format(version=python) == headers
