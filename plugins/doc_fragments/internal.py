"""What the documentation of a module says that nobody but the roles of this collection is to call."""

from __future__ import annotations


class ModuleDocFragment:
    """The note of an internal module; docs/guide/modules.md lists those that are not."""

    DOCUMENTATION = r"""
options: {}
notes:
  - Internal to the roles of this collection. It may change, or go, with any release, and no changelog need tell.
"""
