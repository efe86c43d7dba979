"""Has what the host refuses printed once, as text."""

from __future__ import annotations

from ansible_collections.graceful.wsgi.plugins.action.uwsgi_instances import RunsModule


class ActionModule(RunsModule):
    """Controller side of graceful.wsgi.nginx_info."""

    _supports_diff = False
    MODULE = "graceful.wsgi.nginx_info"
