"""Which package manager a host has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Releases of the RedHat family that have no dnf: Enterprise Linux 6 and 7, Amazon Linux 2.
WITHOUT_DNF = {"6", "7", "2"}


def manager(host: Mapping[str, Any]) -> str:
    """What ansible.builtin.package takes as ``use``; ``auto`` where neither a fact nor the family tells.

    ansible-core 2.16 cannot find it out by itself for a task whose delegate_to comes from what a task returned.
    """
    if host.get("package_manager"):
        return str(host["package_manager"])
    if host.get("os_family") == "Debian":
        return "apt"
    if host.get("os_family") == "RedHat" and host.get("version"):
        return "yum" if str(host["version"]) in WITHOUT_DNF else "dnf"
    return "auto"
