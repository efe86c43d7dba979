"""Which applications and instances a set has no more, of the files that it wrote before and not now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.graceful.wsgi.plugins.plugin_utils import layout

DOCUMENTATION = r"""
name: unpublished
short_description: (internal) Which applications and instances a set has no more
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Takes the names of units apart, which plugins/module_utils/layout.py has composed; whose they are the manifests say.
extends_documentation_fragment:
  - graceful.wsgi.internal
positional: others, instances_by_app, belongs_to
options:
  _input:
    description: Files that the set wrote before and not now, as RV(graceful.wsgi.file_bundle#module:stale) has them.
    type: list
    elements: str
    required: true
  others:
    description: Files that other bundles have by now, as RV(graceful.wsgi.file_bundle#module:others) has them.
    type: list
    elements: str
    required: true
  instances_by_app:
    description: Names of the instances that the set has, by application.
    type: dict
    required: true
  belongs_to:
    description: What files belong to, as RV(graceful.wsgi.file_bundle#module:belongs_to) has it.
    type: dict
"""

EXAMPLES = r"""
gone: "{{ written.stale | graceful.wsgi.unpublished(written.others, {'shop': ['shop']}, written.belongs_to) }}"
"""

RETURN = r"""
_value:
  description: C(instances) and C(apps), the names of what is to be stopped, and whose code and logs nobody needs.
  type: dict
"""


class FilterModule:
    """Filters of the role publish."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"unpublished": layout.unpublished}
