"""What modules take of the plan's list of folders that nginx serves out of releases."""

from __future__ import annotations


class ModuleDocFragment:
    """The option of modules that look whether nginx can read what it is to serve."""

    DOCUMENTATION = r"""
options:
  served:
    description: What nginx serves out of applications' releases, as the plan of the publish role tells it.
    type: list
    elements: dict
    default: []
    suboptions:
      variable:
        description: Where a user wrote it.
        type: str
        required: true
      path:
        description: The folder as nginx will name it.
        type: str
        required: true
      file:
        description: Whether the path is one file, not a folder.
        type: bool
        default: false
      release:
        description: The part of the code that it is.
        type: str
      user:
        description: The account of nginx's workers.
        type: str
        required: true
      groups:
        description: Groups that this account is, or becomes, a member of.
        type: list
        elements: str
        default: []
"""
