"""Asks the host which uWSGI is there, and has what it refuses printed once, as text."""

from __future__ import annotations

from ansible_collections.graceful.wsgi.plugins.action.nginx_info import AsksAsGiven


class ActionModule(AsksAsGiven):
    """Controller side of graceful.wsgi.uwsgi_build_info."""

    ABOUT = "uwsgi"
