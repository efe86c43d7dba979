"""Why a play over several batches goes no further."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.graceful.wsgi.plugins.plugin_utils import fleet

DOCUMENTATION = r"""
name: stopped
short_description: (internal) Why a play over several batches goes no further
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Counts the hosts of earlier batches that failed or were not reached.
extends_documentation_fragment:
  - graceful.wsgi.internal
positional: left, batch, percentage
options:
  _input:
    description: All hosts of the play, C(ansible_play_hosts_all).
    type: list
    elements: str
    required: true
  left:
    description: Those of them that have not failed, C(ansible_play_hosts).
    type: list
    elements: str
    required: true
  batch:
    description: Those that are about to begin, C(ansible_play_batch).
    type: list
    elements: str
    required: true
  percentage:
    description: How many percent of those that had their turn may have failed.
    type: raw
    default: 0
"""

EXAMPLES = r"""
why: "{{ ansible_play_hosts_all | graceful.wsgi.stopped(ansible_play_hosts, ansible_play_batch, 0) }}"
"""

RETURN = r"""
_value:
  description: A message, or an empty text where the play goes on.
  type: str
"""


class FilterModule:
    """Filters of the playbooks."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"stopped": fleet.stopped}
