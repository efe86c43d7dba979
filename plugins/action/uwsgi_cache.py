"""Brings a uWSGI wheel that was built once from its builder to the controller, and from there to every host."""

from __future__ import annotations

from ansible_collections.graceful.wsgi.plugins.action.nginx_cache import ActionModule as NginxCache
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_wheel import WHEEL


class ActionModule(NginxCache):
    """Controller side of graceful.wsgi.uwsgi_wheel for what another host built."""

    kind = WHEEL
    folder_variable = "uwsgi_artifact_dir"
    hint = "name a builder like it in uwsgi_build_host, or set that to '' to have the host build its own"
    receiver = "graceful.wsgi.uwsgi_wheel"
