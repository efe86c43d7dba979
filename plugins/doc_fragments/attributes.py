"""What the documentation of several modules says alike."""

from __future__ import annotations


class ModuleDocFragment:
    """The attributes of a module that runs in check mode and has no diff to show."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Returns a diff.
    support: none
"""
