"""How many hosts of a play are worked on at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.graceful.wsgi.plugins.plugin_utils import fleet

DOCUMENTATION = r"""
name: batches
short_description: (internal) How many hosts of a play are worked on at a time
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - What C(serial) of a play is. Ansible reads that before there is a host, so that a variable of the inventory is seen
    by a second play only, and by way of C(hostvars).
extends_documentation_fragment:
  - graceful.wsgi.internal
positional: hostvars, said
options:
  _input:
    description: Names of hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of all hosts, where they are known.
    type: dict
  said:
    description: What the command line says, which wins.
    type: raw
"""

EXAMPLES = r"""
serial: "{{ ['web1', 'web2'] | graceful.wsgi.batches(hostvars) }}"
"""

RETURN = r"""
_value:
  description: A number, a percentage or a list of those.
  type: raw
"""


class FilterModule:
    """Filters of the playbooks."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"batches": fleet.batches}
