"""What modules take and tell of bundles, so that a bundle that stands is not asked for again."""

from __future__ import annotations


class ModuleDocFragment:
    """The option of an info module that names bundles."""

    DOCUMENTATION = r"""
options:
  bundles:
    description: Names of bundles of M(graceful.wsgi.file_bundle) of which RV(bundles) is to tell.
    type: list
    elements: str
    default: []
"""
