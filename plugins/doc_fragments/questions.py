"""How modules take what they are to ask of sites and applications."""

from __future__ import annotations


class ModuleDocFragment:
    """A question of the plan's: which address, name and path, and which answer is fine."""

    DOCUMENTATION = r"""
options:
  questions:
    description: Requests that are made, and what the answers must be.
    type: list
    elements: dict
    default: []
    suboptions:
      app:
        description: The application that it is about.
        type: str
        required: true
      instances:
        description: Instances of the application; one of them answers.
        type: list
        elements: str
        default: []
      file:
        description: The file of the site that leads there.
        type: path
      nginx:
        description: The address of nginx, C(host:port) or a unix socket's path. Or give O(questions[].socket).
        type: str
      socket:
        description: The application's own address, C(host:port) or a unix socket's path.
        type: str
      protocol:
        description: Protocol that is spoken over the socket.
        type: str
        choices: [uwsgi, http]
        default: uwsgi
      tls:
        description: Whether the visitor comes by HTTPS. The certificate is not verified.
        type: bool
        default: false
      proxy_protocol:
        description: Whether nginx waits for a PROXY line there.
        type: bool
        default: false
      maintenance:
        description: A file that is there while nginx answers for the application itself; O(questions[].socket) is asked
          then, where nginx answers 503.
        type: path
      sure:
        description: Whether nginx must listen there. Of a site with a template of its own that is not known.
        type: bool
        default: true
      host:
        description: Host name to ask for.
        type: str
        required: true
      path:
        description: Path to ask for.
        type: str
        required: true
      status:
        description: The statuses that are fine; any below 500 where not given.
        type: list
        elements: int
      text:
        description: Text that must be in the answer.
        type: str
      logs:
        description: The application's logs, in which the traceback of a failed request is looked for.
        type: list
        elements: path
        default: []
      units:
        description: Units whose journal is looked at likewise.
        type: list
        elements: str
        default: []
      unit_files:
        description: Units and drop-ins that say its environment, and files with its secrets; none of their values is
          repeated.
        type: list
        elements: path
        default: []
      error_log:
        description: The error log of the site.
        type: path
"""
