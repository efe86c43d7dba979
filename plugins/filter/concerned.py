"""Which applications a stage of a deploy has something to do for, as tasks of a user's own see them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.graceful.wsgi.plugins.plugin_utils import hook_plan

DOCUMENTATION = r"""
name: concerned
short_description: (internal) Which applications a stage of a deploy has something to do for
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Tells the tasks of a user's own, at each point of the role publish, for which applications it has something to do.
extends_documentation_fragment:
  - graceful.wsgi.internal
positional: point, found, made, written, gone
options:
  _input:
    description: The applications, as the plan of the role publish tells them for tasks of a user's own.
    type: list
    elements: dict
    required: true
  point:
    description: The point in the deploy, such as V(before_switch).
    type: str
    required: true
  found:
    description: What M(graceful.wsgi.publish_info) has returned.
    type: dict
    required: true
  made:
    description: What M(graceful.wsgi.releases) has returned.
    type: dict
    required: true
  written:
    description: What M(graceful.wsgi.file_bundle) has returned of the applications' files.
    type: dict
    required: true
  gone:
    description: Names of the applications that are published no more.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
concerned: "{{ planned.plan.hook_releases | graceful.wsgi.concerned('before_switch', found, made, written, []) }}"
"""

RETURN = r"""
_value:
  description: Those of the applications that are concerned, with the paths of the release that is to be live.
  type: list
  elements: dict
"""


class FilterModule:
    """Filters of the role publish."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"concerned": hook_plan.concerned}
