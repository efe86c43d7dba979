"""What graceful.wsgi.doctor finds, a row each: how bad it is, what comes of it, and the cure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

SERIOUS, WARNING = "serious", "warning"
SEVERITIES = (SERIOUS, WARNING)


class Kind(NamedTuple):
    """A pitfall."""

    severity: str
    consequence: str
    cure: str


@dataclass
class Finding:
    """A pitfall that a stack has: where, and what shows it."""

    kind: str
    file: str
    line: int
    evidence: str

    @property
    def severity(self) -> str:
        """How bad it is."""
        return KINDS[self.kind].severity

    def plain(self) -> dict[str, object]:
        """The finding as data."""
        kind = KINDS[self.kind]
        found = {"finding": self.kind, "severity": kind.severity, "file": self.file, "line": self.line}
        return {**found, "evidence": self.evidence, "consequence": kind.consequence, "cure": kind.cure}


KINDS: dict[str, Kind] = {
    "protocol": Kind(
        SERIOUS,
        "each request fails or waits until its time is out: one end speaks uwsgi, the other HTTP",
        "let uwsgi_pass lead to socket, and proxy_pass http:// to http-socket",
    ),
    "nobody-listens": Kind(
        SERIOUS,
        "each request is answered by 502",
        "write the same address at both ends, in socket of uWSGI and in uwsgi_pass",
    ),
    "log-folder": Kind(SERIOUS, "nginx or uWSGI does not start", "make the folder, or name another one"),
    "uwsgi-param": Kind(SERIOUS, "nginx does not start: there is no such file", "write include uwsgi_params"),
    "syntax": Kind(SERIOUS, "nginx does not start, or does not take the change", "mend the line"),
    "gevent-threads": Kind(
        SERIOUS,
        "requests hang or are answered by 502: threads and greenlets serve the same requests",
        "leave threads out",
    ),
    "gevent-async": Kind(
        WARNING, "no more requests and sockets at once than async says", "leave async out, the number belongs to gevent"
    ),
    "websocket-processes": Kind(
        SERIOUS,
        "requests of a session reach a process that does not know it: 400 and 502 at random",
        "one process, or several instances with a session's requests led to the same one",
    ),
    "daemonize": Kind(
        SERIOUS,
        "systemd loses the master: it takes the unit for dead, or starts it again and again",
        "leave daemonize out, and let the unit have the output",
    ),
    "no-boot": Kind(WARNING, "after the next boot the application is gone", "start it by a unit that is enabled"),
    "no-pidfile": Kind(
        WARNING,
        "nobody can tell which process to stop or reload but by killing all of them",
        "state a pidfile, or use a unit",
    ),
    "stale-pidfile": Kind(
        SERIOUS,
        "a stop or reload by it reaches nobody, or a stranger",
        "remove it, and start by a unit",
    ),
    "open-pidfile": Kind(
        SERIOUS,
        "whoever can write it chooses which process root stops",
        "put it where only root or the application writes",
    ),
    "open-socket": Kind(
        SERIOUS, "whoever reaches the socket may run code as the application", "listen to 127.0.0.1, or a unix socket"
    ),
    "world-socket": Kind(
        WARNING,
        "every account of the host may run code as the application",
        "put the socket into a folder that only nginx enters, or use mode 660 and nginx's group",
    ),
    "root": Kind(
        SERIOUS,
        "a fault in the application is one in the whole host",
        "state uid and gid, or User= of the unit",
    ),
    "alias-traversal": Kind(
        SERIOUS, "files beside the folder can be had by ..", "let both location and alias end in a slash"
    ),
    "slash": Kind(
        WARNING,
        "a path is asked for with a slash too many or too few",
        "let both location and proxy_pass end in a slash",
    ),
    "prefix": Kind(
        WARNING,
        "links and redirects of what is behind lead out of the location",
        "serve it below the same path, or tell it its prefix and rewrite what it answers",
    ),
    "regex-shadow": Kind(
        WARNING, "the regular expression answers, and the prefix is never asked", "write ^~ before the prefix"
    ),
    "dead-directive": Kind(
        WARNING, "the line does nothing beside uwsgi_pass", "leave it out; uwsgi_… and uwsgi_param are its counterparts"
    ),
    "unknown-option": Kind(WARNING, "uWSGI does nothing with it and says nothing", "correct its name, or leave it out"),
    "relative-daemon": Kind(
        WARNING, "it is looked for in the folder that uWSGI was started in", "write its whole path"
    ),
    "body-limits": Kind(
        WARNING, "a request that nginx lets in is broken off by uWSGI", "let limit-post be client_max_body_size or more"
    ),
    "timeouts": Kind(
        WARNING,
        "nginx answers 504 while the application goes on working",
        "let uwsgi_read_timeout be longer than harakiri",
    ),
    "listen-queue": Kind(
        SERIOUS,
        "uWSGI does not start: its queue is longer than the kernel's",
        "raise net.core.somaxconn, or lower listen",
    ),
    "overflows": Kind(WARNING, "connections were lost since the last boot", "raise listen, and serve more at once"),
    "unreadable-static": Kind(
        SERIOUS,
        "nginx answers 403",
        "let others pass each folder on the way, and read the files",
    ),
    "missing-static": Kind(WARNING, "nginx answers 404", "name the folder that is there"),
    "certificate-end": Kind(SERIOUS, "browsers refuse the site", "renew the certificate"),
    "certificate-old": Kind(WARNING, "nginx serves the certificate that it has read before", "reload nginx"),
    "shadowed-server": Kind(SERIOUS, "nginx takes the first and never asks the second", "join the two, or rename one"),
    "accidental-default": Kind(
        WARNING,
        "requests for unknown names reach whichever site comes first",
        "say default_server, or have a server of its own refuse them",
    ),
    "no-master": Kind(WARNING, "a worker that dies stays dead, and no reload is without loss", "state master = true"),
    "selinux": Kind(SERIOUS, "SELinux has kept nginx or uWSGI from something", "look at ausearch -m avc -c nginx"),
    "missing-plugin": Kind(
        SERIOUS,
        "uWSGI starts without the application, or not at all: Python is a plugin of its own there",
        "install the package of the plugin and name it in plugins, or take a uWSGI that has it built in",
    ),
    "lacking-option": Kind(
        SERIOUS,
        "uWSGI does nothing with it and says nothing; on a command line, or with strict, it does not start",
        "take a uWSGI that was built with it, or leave the option out",
    ),
    "websocket-ssl": Kind(SERIOUS, "each WebSocket fails in its handshake", "take a uWSGI that was built with ssl"),
    "python-version": Kind(
        SERIOUS,
        "uWSGI does not find what the virtualenv has, or does not start: it runs the Python that it was built with",
        "build the virtualenv with uWSGI's Python, or uWSGI with the virtualenv's",
    ),
    "nginx-lacks": Kind(
        SERIOUS,
        "nginx takes no change of its configuration, and does not start again",
        "build nginx with that module, or leave the line out",
    ),
    "library-gone": Kind(
        SERIOUS,
        "it does not start again after its next end",
        "install the package of the library, or build it anew on this system",
    ),
    "old-binary": Kind(
        WARNING,
        "what the new one mends is not mended, and whether it starts is not yet seen",
        "restart it; nginx is moved over without loss by USR2",
    ),
    "old-library": Kind(
        WARNING, "what the new library mends is not mended in a process that began before", "restart it"
    ),
    "config-old": Kind(
        WARNING,
        "what was changed takes effect, or fails, at whichever reload or boot comes next",
        "test it by nginx -t and reload; for uWSGI, reload the master",
    ),
}
