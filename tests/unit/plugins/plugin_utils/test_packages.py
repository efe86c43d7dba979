"""Which package manager ansible.builtin.package is told to use."""

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
