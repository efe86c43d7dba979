"""How modules take the applications that they are to work on, all in one task."""

from __future__ import annotations


class ModuleDocFragment:
    """What of an application its code needs, and what of it the throw-away uWSGI needs."""

    RELEASES = r"""
options:
  releases:
    description: The applications, all in one task.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The application.
        type: str
        required: true
      home:
        description: Its folder on the host.
        type: path
        required: true
      group:
        description: The group that may read the code; root owns it.
        type: str
        default: root
      source:
        description: Folder on the controller.
        type: str
      archive:
        description: Archive on the controller; a single top folder is left out.
        type: str
      repo:
        description: Git repository; O(checkouts) says where it was checked out. Not used by the module itself.
        type: str
      version:
        description: Branch, tag or commit. Not used by the module itself.
        type: str
      path:
        description: Folder on the host where the code already is; only its virtualenv is looked after.
        type: path
      exclude:
        description: Names or patterns to leave out.
        type: list
        elements: str
        default: []
      requirements:
        description: A file in the code, or a list of requirements.
        type: raw
      id:
        description: Name of the release; the action plugin fills it in.
        type: str
      sent:
        description: The archive on the host; the action plugin fills it in.
        type: path
"""

    APPS = r"""
options:
  apps:
    description: The applications, all in one task.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Names the application.
        type: str
        required: true
      user:
        description: Who runs it.
        type: str
        required: true
      group:
        description: Its group.
        type: str
        required: true
      options:
        description: Its configuration, a list of pairs of option and value.
        type: list
        elements: list
        default: []
      template:
        description: A template of its configuration, in the place of O(apps[].options).
        type: str
      vars:
        description: Extra variables for the template.
        type: dict
        default: {}
      text:
        description: What the template gave; the action plugin fills it in.
        type: str
      format:
        description: The language of that configuration.
        type: str
        choices: [ini, json, yaml, xml]
        default: ini
      probe:
        description: A C(path) that must be answered with a status below 500.
        type: dict
        default: {}
"""
