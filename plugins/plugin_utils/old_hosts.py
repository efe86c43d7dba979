"""What to do where the running Ansible is too new for a host: hosts as old as CentOS 7 need ansible-core 2.16."""

from __future__ import annotations

import re
from collections.abc import Sequence

# The last that speaks to Python 2.7 and 3.6, and the last with a module for yum.
LAST = "2.16"
HINT = (
    f"run the play with ansible-core {LAST}, from a virtualenv of its own:\n"
    "    python3 -m venv ~/ansible-2.16    # by Python 3.10, 3.11 or 3.12\n"
    "    ~/ansible-2.16/bin/pip install 'ansible>=9,<10'    # ansible-core 2.16 and the collections that suit it\n"
    "    ~/ansible-2.16/bin/ansible-playbook …\n"
)
# Its yum speaks Python 2 only.
INTERPRETER = "and leave ansible_python_interpreter unset for this host, or set it to /usr/bin/python"
# Prints what the host is and what it runs, a line each, by nothing but a POSIX shell.
ASK = r"""
(. /etc/os-release && printf 'os\t%s\t%s\t%s\n' "$ID" "${VERSION_ID:-}" "${PRETTY_NAME:-$ID}") 2>/dev/null
say='import sys; print("python\t%d.%d.%d\t%s" % (sys.version_info[:3] + (sys.argv[1],)))'
for name in python3.14 python3.13 python3.12 python3.11 python3.10 python3.9 python3.8 python3 python2.7 python; do
    found=$(command -v "$name") && "$found" -c "$say" "$found" 2>/dev/null
done
true
"""

# What too old a Python says of a module, by itself or by the module's own words.
_COMPLAINT = re.compile(r"SyntaxError|minimum of Python")


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version that compare: its first two."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def too_new(core: str) -> bool:
    """Whether this ansible-core has forgotten Python 2.7 and yum."""
    return release(core) > release(LAST)


def el7(core: str, distribution: str) -> str | None:
    """Why this ansible-core cannot manage an EL7 host whatever its Python is; None where it can."""
    if not too_new(core):
        return None
    return f"this host is {distribution}, whose packages come by yum, and ansible-core {core} has no module for it"


def refusal(core: str, oldest: Sequence[int], told: str, complaint: str = "") -> str | None:
    """Why Ansible could not speak to the host, and the mend, from what ``ASK`` printed there.

    ``complaint``: what the failed module said. None where nothing shows that it is the host's Python.
    """
    lines = [line.split("\t") for line in told.splitlines()]
    system = next((line for line in lines if line[0] == "os" and len(line) == 4), ["os", "", "", "this host"])
    pythons: dict[str, str] = {}
    for line in lines:
        if line[0] == "python" and len(line) == 3:
            pythons.setdefault(line[1], line[2])
    if not any(line[0] in ("os", "python") for line in lines):
        return None
    wanted = ".".join(map(str, oldest))
    name = system[3]
    old = system[1] in ("centos", "rhel", "ol", "scientific") and release(system[2])[:1] == (7,)
    if not pythons:
        package = "python" if old else "python3"
        return f"{name} has no Python, which Ansible needs there. Install its package {package} and run the play again."
    fit = [version for version in pythons if release(version) >= tuple(oldest)]
    has = " and ".join(f"{version} ({path})" for version, path in pythons.items())
    message = f"ansible-core {core} needs Python {wanted} or newer on its hosts, and {name} has {has}."
    if old and too_new(core):
        message = f"{name} has Python {has}; ansible-core {core} speaks to {wanted} and newer, and not to its yum."
        return f"{message} For CentOS 7 and its kin {HINT}{INTERPRETER}."
    if fit:
        hint = f"The one that was taken is older: set ansible_python_interpreter: {pythons[fit[0]]}"
        return f"{message} {hint}" if _COMPLAINT.search(complaint) else None
    if not too_new(core):
        return None
    return f"{message} Install a newer one there and name it in ansible_python_interpreter, or {HINT.rstrip()}"
