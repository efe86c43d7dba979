"""What uWSGI's options mean to us, by meaning: whatever refuses or writes options, or looks at a user's, reads it here.

Names are as uWSGI lists them, with dashes. What runs on a host, under Python 2.7 and without this folder, keeps its own
beside the code that acts by it: module_utils/background.py, uwsgi_preflight.py and generations.py.
"""

from __future__ import annotations

import re

# What the plan itself writes into an application's configuration, and the setting that states it.
OWNED = {
    "socket": "socket",
    "uwsgi-socket": "socket",
    "http-socket": "protocol: http and socket",
    "protocol": "protocol of the application",
    "socket-protocol": "protocol of the application",
    "module": "module",
    "wsgi": "module",
    "wsgi-file": "wsgi_file",
    "file": "wsgi_file",
    "callable": "callable",
    "processes": "processes",
    "workers": "processes",
    "threads": "threads",
    "gevent": "gevent",
    "pythonpath": "pythonpath",
    "python-path": "pythonpath",
    "pp": "pythonpath",
    "chdir": "chdir",
    "virtualenv": "virtualenv or requirements",
    "venv": "virtualenv or requirements",
    "home": "virtualenv or requirements",
    "pyhome": "virtualenv or requirements",
    "env": "env",
    "logto": "log",
    "logto2": "log",
    "log-master": "log",
    "log-reopen": "log",
    "uid": "user",
    "gid": "group",
    "pidfile": "",
    "pidfile2": "",
    "safe-pidfile": "",
    "safe-pidfile2": "",
    "master": "",
    "master-fifo": "",
    "stats": "",
    "strict": "",
}
# These, and what detaches the master from its unit.
REFUSED = {*OWNED, "daemonize", "daemonize2"}

# Options that contradict sockets which stay open, and what to do about it.
AGAINST_SOCKETS = {
    "harakiri": ("ends the worker, with all its sockets, once one has been open that long", "leave it out"),
    "worker-reload-mercy": ("is how long open sockets may stay when their worker is to end", "state websocket_mercy"),
}

# What an ini from elsewhere says of its socket, and means nothing for one in the folder that only nginx reaches.
SOCKET_MODES = {"chmod", "chmod-socket", "chown-socket"}

# Commands that the master runs in its own folder, which has to be the code's, whenever it begins.
COMMANDS = re.compile(r"exec-.*")
# uWSGI's own reloads, beside ours: they cut requests off.
OWN_RELOADS = re.compile(
    r"touch-(workers-|mules-|spoolers-|chain-)?reload|fs-(brutal-)?reload|py(thon)?-auto-?reload(-on-edit)?"
)
# What a process that is forked from the master has of the code though the workers load it themselves.
IN_MASTER = re.compile(r"shared-(py-?|python-)?import")
IN_SPOOLER = re.compile(r"spooler-(py-?|python-)?import")

# Without these, which a throw-away process has none of, a page may well fail that is fine once it is live.
COUNTED_ON = re.compile(r"(mules?|farm|spooler.*|.*attach-daemon.*|.*cron.*|legion.*)\Z")

# Shortcuts for a loop engine with so many cores.
LOOPS = ("asyncio", "coroae", "goroutines", "tornado")
# What gives each core of `async` a stack of its own; switches, of which uWSGI takes the last that is initialised.
SUSPENDERS = ("fiber", "greenlet", "stackless", "ugreen")
# They act when gevent's loop begins.
GEVENT_ONLY = ("gevent-monkey-patch", "gevent-wait-for-hub")

# Options that load a plugin's file, and with it options of its own.
LOADS = ("plugins", "plugin", "need-plugins", "need-plugin")
# Where such files lie.
FOLDERS = ("plugins-dir", "plugin-dir")
# Options that make options.
DECLARES = ("declare-option", "declare-option2")
# What brings code that may serve a packet in the place of Python's plugin.
PLUGINS = {*LOADS, "dlopen"}

# Who states how a request's line looks or where it goes wants it written.
REQUEST_LINES = {
    "log-format",
    "logformat",
    "log-format-strftime",
    "logformat-strftime",
    "log-micros",
    "log-master-req-stream",
    "log-req-encoder",
    "log-req-route",
    "log-x-forwarded-for",
    "req-logger",
    "logger-req",
}

# uWSGI reads a number up to the first letter, and so 5m as 5: its options have one unit each. Those that people
# write a unit to, by that unit (uwsgi_opt_set_int and _64bit, _16bit, _megabytes in its core/uwsgi.c).
_UNITS = {
    "bytes": (
        "buffer-size cache-blocksize chunked-input-limit http-buffer-size limit-post log-big log-master-bufsize"
        " log-maxsize mule-msg-size post-buffering post-buffering-bufsize queue-blocksize socket-rcvbuf socket-sndbuf"
    ),
    "seconds": (
        "chunked-input-timeout cron-harakiri harakiri harakiri-graceful-timeout heartbeat http-connect-timeout"
        " http-harakiri http-headers-timeout http-keepalive http-timeout idle max-worker-lifetime min-worker-lifetime"
        " mule-harakiri mule-reload-mercy reload-mercy socket-timeout spooler-freq spooler-frequency spooler-harakiri"
        " worker-reload-mercy"
    ),
    "milliseconds": "log-slow",
    "megabytes": "body-read-warning evil-reload-on-as evil-reload-on-rss limit-as reload-on-as reload-on-rss",
    "kilobytes": (
        "thread-stack-size thread-stacksize threads-stack-size threads-stacksize websocket-max-size websockets-max-size"
    ),
}
UNIT_OF = {name: unit for unit, names in _UNITS.items() for name in names.split()}

# One option of each feature, by which it is known whatever the version.
FEATURE_MARKS = {
    "capabilities": "cap",
    "gevent": "gevent",
    "json": "json",
    "pcre": "log-drain",
    "routing": "route-if-not",
    "ssl": "legion",
    "xml": "xml",
    "yaml": "yaml",
    "zlib": "load-file-in-cache-gzip",
}
