"""What modules take of the plan's questions to the host."""

from __future__ import annotations


class ModuleDocFragment:
    """The option of an info module that refuses what the host cannot take."""

    DOCUMENTATION = r"""
options:
  checks:
    description:
      - What the plan could not judge without the host, a mapping of C(kind), C(variable) and what its kind needs each.
      - Where the host cannot take one, the module fails with all problems in one message, before anything is changed.
    type: list
    elements: dict
    default: []
"""
