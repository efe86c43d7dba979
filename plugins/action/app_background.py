"""Has what graceful.wsgi.app_background says of a failure printed once, as text."""

from __future__ import annotations

from ansible_collections.graceful.wsgi.plugins.action.uwsgi_instances import RunsModule


class ActionModule(RunsModule):
    """Controller side of graceful.wsgi.app_background."""

    MODULE = "graceful.wsgi.app_background"
