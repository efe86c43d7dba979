"""nginx.conf, but for what the sites bring."""

from __future__ import annotations

from typing import Any

from . import nginx_tree, nginx_versions
from .problem import Problem

OWNED_DIRECTIVES = {
    "nginx_main_options": {
        "user": "set nginx_user and nginx_group",
        "worker_processes": "set nginx_worker_processes",
        "pid": "remove it; the unit and the upgrade count on /run/nginx.pid",
        "daemon": "remove it; the unit counts on the default",
        "master_process": "remove it; an upgrade without a lost request needs a master",
        "events": "write its directives into nginx_events_options",
        "http": "write its directives into nginx_conf_options",
    },
    "nginx_events_options": {"worker_connections": "set nginx_worker_connections"},
    "nginx_conf_options": {},
}

# What a user's own include or log_format adds to and does not replace.
HTTP_FIRST: list[nginx_tree.Directive] = [
    ["include", "mime.types", None],
    [
        "log_format",
        'timed \'$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
        '"$http_referer" "$http_user_agent" $request_time $upstream_response_time\'',
        None,
    ],
]

# Older ones close an idle kept-alive connection at a reload even if its next request is under way.
_KEEPALIVE_MIN_SINCE = (1, 27, 4)
# From here on a reload keeps a certificate whose file has the number and the second of change that it had.
_OBJECT_CACHE_SINCE = (1, 27, 4)


def conf_of(values: dict[str, Any], problems: list[Problem]) -> list[nginx_tree.Directive]:
    for variable, owned in OWNED_DIRECTIVES.items():
        for name in values[variable]:
            if name in owned:
                problems.append(Problem(f"{variable}.{name}", "is the role's own", owned[name]))

    def block(variable: str, base: dict[str, Any]) -> list[nginx_tree.Directive]:
        options = {name: value for name, value in values[variable].items() if name not in OWNED_DIRECTIVES[variable]}
        return nginx_tree.directives(nginx_tree.merged(base, options), variable, problems)

    connections, version = values["nginx_worker_connections"], nginx_versions.numbers(values["nginx_version"])
    main = block(
        "nginx_main_options",
        {
            # A proxied request takes two descriptors; logs and the like need some more.
            "worker_rlimit_nofile": 2 * connections + 512,
            **({"ssl_object_cache_inheritable": False} if version >= _OBJECT_CACHE_SINCE else {}),
            "error_log": "/var/log/nginx/error.log",
        },
    )
    events = block("nginx_events_options", {})
    http = block(
        "nginx_conf_options",
        {
            "default_type": "application/octet-stream",
            "access_log": "/var/log/nginx/access.log timed",
            "sendfile": True,
            "tcp_nopush": True,
            "keepalive_timeout": "65s",
            **({"keepalive_min_timeout": "2s"} if version >= _KEEPALIVE_MIN_SINCE else {}),
            "server_tokens": False,
            "types_hash_max_size": 2048,
            "server_names_hash_bucket_size": 128,
            # Sites with lists and limits have variables of their own.
            "variables_hash_bucket_size": 128,
            "variables_hash_max_size": 16384,
            "ssl_protocols": "TLSv1.2 TLSv1.3",
        },
    )
    return [
        ["user", f"{values['nginx_user']} {values['nginx_group']}", None],
        ["worker_processes", values["nginx_worker_processes"], None],
        *main,
        ["events", "", [["worker_connections", str(connections), None], *events]],
        # Of servers at one address nginx takes the first for names that no other has, so these come before all others.
        [
            "http",
            "",
            [*HTTP_FIRST, ["include", "default.d/*.conf", None], *http, ["include", "conf.d/*.conf", None]],
        ],
    ]
