"""The plan, as the roles' planners return it: what each field is, in which unit, with an example.

Nothing else reaches a role's tasks and templates. plain() makes of a plan what a task registers; ``TAKEN_BY`` names the
option of the module that takes a part of it, and tests/unit/test_contract.py holds the two against each other.
Fields that public() makes are what a template of a user's own may rely on: roles/*/README.md lists them. All others
may change with any release.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

# A question to the host; its keys depend on its kind, see module_utils/host_checks.py.
Check: TypeAlias = dict[str, Any]
# [name, value, children or None], as nginx_tree.py makes it.
Directive: TypeAlias = list[Any]
# [name, value] of a configuration or of a section of a unit, in order; a name may come more than once.
Pairs: TypeAlias = list[list[str]]
# The lines of a unit, by the name of their section.
Sections: TypeAlias = dict[str, Pairs]

# A field with it is left out of what tasks get where it is None: the module's own default holds then.
_OPTIONAL = {"optional": True}
# A field with it is an empty mapping to tasks where it is None.
_MAPPING = {"mapping": True}


def public(**more: Any) -> Any:
    """A field that a template of a user's own may rely on."""
    return dataclasses.field(metadata={"public": True}, **more)


def optional() -> Any:
    """A field that a module is not given where it is None."""
    return dataclasses.field(default=None, metadata=_OPTIONAL)


def mapping() -> Any:
    """A field that is an empty mapping to tasks where it is None."""
    return dataclasses.field(default=None, metadata=_MAPPING)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What every role's plan has."""

    # What only the host can judge, asked before anything on it changes.
    checks: list[Check] = dataclasses.field(default_factory=list)
    # Lines that are shown at each run; what is refused is a problem and no plan. Example: nginx 1.26.3 has faults.
    warnings: list[str] = dataclasses.field(default_factory=list)


# -- files of a bundle ----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder that a bundle makes."""

    TAKEN_BY: ClassVar[str] = "file_bundle.directories"

    # Absolute path. Example: /srv/wsgi.
    path: str
    # Account that owns it. Example: root.
    owner: str
    # Group that owns it. Example: root.
    group: str
    # Octal mode as text. Example: 0755.
    mode: str
    # Whether owner and mode are set on a folder that is there already.
    force: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class File:
    """A file that a bundle writes, from a template or a text."""

    TAKEN_BY: ClassVar[str] = "file_bundle.files"

    # Absolute path. Example: /etc/uwsgi/shop.ini.
    dest: str
    # Name of the template that makes it; a user's own is searched for beside the play. Example: app.ini.j2.
    template: str | None = optional()
    # Variables of the template. Example: {app: an Instance}.
    vars: dict[str, Any] | None = optional()
    # The text itself, in the place of a template.
    content: str | None = optional()
    # Account that owns it. Example: wsgi-shop.
    owner: str | None = optional()
    # Group that owns it. Example: wsgi-shop.
    group: str | None = optional()
    # Octal mode as text. Example: 0640.
    mode: str | None = optional()
    # Whether a file that is there already is overwritten; a log is not.
    force: bool | None = optional()
    # Whether it holds values that no diff may show.
    secret: bool | None = optional()
    # Application or site that it is of, as the host notes it; none for what a whole set shares. Example: shop.
    belongs_to: str | None = optional()
    # Program that reads it; where the host has none it is not written. Example: logrotate.
    reader: str | None = optional()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Validation:
    """How a bundle's files are tested before they go live."""

    TAKEN_BY: ClassVar[str] = "file_bundle.validate"

    # Live folder that is copied for the test. Example: /etc/nginx.
    tree: str
    # Command that must succeed; {tree} is the copy. Example: /usr/sbin/nginx -t -q -c {tree}/nginx.conf.
    command: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bundle:
    """Files that are written together, and go back together."""

    # Name of the bundle, by which the host notes what it wrote. Example: publish-main-apps.
    name: str
    # Folders that are made first.
    directories: list[Folder]
    # Files in the order in which they are shown.
    files: list[File]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SiteBundle(Bundle):
    """The server blocks and all that goes with them."""

    # Whether files of an earlier run that this one does not have go.
    prune: bool
    # How nginx is asked about the files before they are live.
    validate: list[Validation]


# -- applications ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instance:
    """One uWSGI master under systemd; an application has one, or several that are alike."""

    # Name of the instance: the application's, with a number where there are several. Example: shop-1.
    name: str = public()
    # Name of the application. Example: shop.
    app: str = public()
    # systemd unit. Example: uwsgi@shop-1.service.
    unit: str = public()
    # Account that it runs as. Example: wsgi-shop.
    user: str = public()
    # Group that it runs as. Example: wsgi-shop.
    group: str = public()
    # Folder of the application with releases, shared and logs. Example: /srv/wsgi/shop.
    home: str = public()
    # Folder of the live code, a link to a release unless the code is on the host. Example: /srv/wsgi/shop/current.
    code: str = public()
    # Folder that the workers stand in. Example: /srv/wsgi/shop/current/web.
    chdir: str = public()
    # Folder of the virtualenv, or null. Example: /srv/wsgi/shop/current/.venv.
    virtualenv: str | None = public()
    # uWSGI's configuration file. Example: /etc/uwsgi/shop-1.ini.
    config: str = public()
    # Socket as uWSGI binds it. Example: /run/wsgi/shop-1.d/sock, or 127.0.0.1:5051.
    socket: str = public()
    # Protocol of the socket: uwsgi or http.
    protocol: str = public()
    # Folder of the pid file, the fifo and the stats socket. Example: /run/uwsgi-shop-1.
    run_dir: str = public()
    # Log file, or null where the journal has it. Example: /var/log/uwsgi/shop/server-1.log.
    log_file: str | None = public()
    # Number of workers. Example: 2.
    processes: int = public()
    # uWSGI's options, [[name, value], ...], in order. Example: [[processes, '2']].
    options: Pairs = public()
    # Lines of the section Service of the unit's drop-in, [[name, value], ...]. Example: [[User, wsgi-shop]].
    service: Pairs = public()
    # Code that is on the host already, or null for releases. Example: /home/shop/web.
    path: str | None
    # Pid file of the master. Example: /run/uwsgi-shop-1/pid.
    pidfile: str
    # Language of the configuration: ini, json, xml or yaml.
    config_format: str
    # Template of a user's own in the place of the role's, empty for the role's. Example: mine.ini.j2.
    template: str
    # Group of nginx's workers, which come through to the socket. Example: nginx.
    web_group: str
    # Port of the socket, null for a unix socket. Example: 5051.
    port: int | None
    # Link by which nginx reaches the socket, null for a port. Example: /run/wsgi/shop-1.sock.
    link: str | None
    # Folder of the socket that only nginx comes through, null for a port. Example: /run/wsgi/shop-1.d.
    socket_dir: str | None
    # Links whose target says which code is live. Example: [/srv/wsgi/shop/current].
    links: list[str]
    # Folders of sys.path. Example: [/srv/wsgi/shop/current].
    pythonpath: list[str]
    # Folder of the uWSGI that it runs with. Example: /opt/uwsgi/2.0.31-python3.11.
    uwsgi_home: str
    # File with the environment that systemd hands over, or null. Example: /etc/uwsgi/shop.env.
    env_file: str | None
    # Files with secrets that systemd hands over. Example: [/etc/uwsgi/shop.secrets].
    secret_files: list[str]
    # WSGI callable as module:callable. Example: manage:app.
    script: str
    # Seconds that open WebSockets have when their worker ends, null without WebSockets. Example: 10.
    mercy: int | None
    # Bytes of headers and address that its uWSGI takes in one request. Example: 62400.
    packet_size: int
    # uWSGI's routes that refuse what other accounts could make of its packets, [[name, value], ...].
    packet_routes: list[tuple[str, Any]]
    # Whether new code takes a new master, as it does beside mules and spoolers.
    needs_new_master: bool
    # Whether new code is taken up by a second generation beside the first.
    needs_standby: bool
    # Drop-in of the unit. Example: /etc/systemd/system/uwsgi@shop-1.service.d/10-publish-shop.conf.
    dropin: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class App(Instance):
    """An application: what its first or only instance is, and all of them."""

    # Its instances, in the order of their numbers.
    instances: list[Instance]
    # Whether it has WebSockets.
    websocket: bool
    # By what nginx chooses an instance for a client: cookie, address or null.
    affinity: str | None
    # Name of the upstream of several instances, null for one. Example: instances-main-shop.
    upstream: str | None
    # Name of the cookie, and prefix of nginx's variables for it. Example: publish_main_shop.
    cookie: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class UwsgiInstance:
    """An instance as it is started, restarted and reloaded."""

    TAKEN_BY: ClassVar[str] = "uwsgi_instances.instances"

    # Name of the instance. Example: shop-1.
    name: str
    # systemd unit. Example: uwsgi@shop-1.service.
    unit: str
    # Files whose change takes a restart. Example: [/etc/systemd/system/uwsgi@.service].
    unit_files: list[str]
    # uWSGI's configuration file, whose change takes a reload. Example: /etc/uwsgi/shop-1.ini.
    config: str
    # Pid file of the master. Example: /run/uwsgi-shop-1/pid.
    pidfile: str
    # Socket as uWSGI binds it. Example: /run/wsgi/shop-1.d/sock.
    socket: str
    # Folder of the run files. Example: /run/uwsgi-shop-1.
    run_dir: str
    # Link by which nginx reaches the socket, or null. Example: /run/wsgi/shop-1.sock.
    link: str | None
    # Socket of the second generation, or null. Example: /run/wsgi/shop-1.d/next.
    standby: str | None
    # Number of workers that must be up. Example: 2.
    processes: int
    # Links whose target says which code is live. Example: [/srv/wsgi/shop/current].
    links: list[str]
    # Seconds that open WebSockets have when their worker ends, or null. Example: 10.
    mercy: int | None
    # Whether new code takes a new master.
    needs_new_master: bool
    # Log whose end is shown where it fails, or null for the journal. Example: /var/log/uwsgi/shop/server-1.log.
    log_file: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnPython:
    """The Python of an application that names one beside uWSGI's."""

    TAKEN_BY: ClassVar[str] = "releases.releases.own_python"

    # Version of it. Example: '2.7'.
    python: str | None
    # Words that make a virtualenv, before its path. Example: [/usr/bin/python3.12, -m, venv].
    venv_command: list[str] | None
    # Requirement of the pip that its virtualenv gets. Example: pip<=20.3.4.
    pip: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class WantedPython:
    """A Python that applications name, for which uWSGI is built in a home of its own."""

    TAKEN_BY: ClassVar[str] = "uwsgi_build_info.pythons"

    # A command's name, or an absolute path. Example: python2.7.
    python: str
    # The first variable that names it. Example: publish_apps[1].python.
    variable: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Release:
    """The code of an application, and what its virtualenv is filled with."""

    TAKEN_BY: ClassVar[str] = "releases.releases"

    # Name of the application. Example: shop.
    name: str
    # Folder of the application. Example: /srv/wsgi/shop.
    home: str
    # Group that may read the code. Example: wsgi-shop.
    group: str
    # Account that runs the code. Example: wsgi-shop.
    user: str
    # Folder on the controller, or null. Example: apps/shop.
    source: str | None
    # Archive on the controller, or null. Example: shop.tar.gz.
    archive: str | None
    # Git repository, or null. Example: https://git.example.com/shop.git.
    repo: str | None
    # Branch, tag or commit. Example: HEAD.
    version: str
    # Code that is on the host already, or null. Example: /home/shop/web.
    path: str | None
    # Names or patterns that no release holds. Example: [.git, '*.pyc'].
    exclude: list[str]
    # A file in the code, a list of requirements, auto, or null. Example: requirements.txt.
    requirements: str | list[str] | None
    # Whether auto is the default here, which nobody has said. Example: {default: true}.
    auto: dict[str, bool] | None = optional()
    # Upper bounds that pip keeps to where the requirements say nothing. Example: [flask<2].
    bounds: list[str] | None = optional()
    # Constraints that pip keeps to in any case. Example: [flask==1.1.4].
    constraints: list[str] | None = optional()
    # Name of the release on the way back to an earlier one, or null. Example: 20c5a1e7d3f2.
    id: str | None = optional()
    # Whether that release is to be live with the virtualenv that it had.
    pinned: bool | None = optional()
    # Folders and files of the code that outlive a release. Example: [media/, data/shop.sqlite3].
    shared: list[str] | None = optional()
    # Folders of a release that commands of before_live fill. Example: [staticfiles].
    writable: list[str] | None = optional()
    # A Python of its own, or null for that of uwsgi_python.
    own_python: OwnPython | None = optional()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe:
    """The answer of an application that a user states to be right."""

    TAKEN_BY: ClassVar[str] = "uwsgi_reload.instances.probe"

    # Statuses that are right. Example: [200].
    status: list[int]
    # Path that is asked for. Example: /up?x=1.
    path: str
    # Host name that is asked for. Example: shop.example.com.
    host: str
    # Whether it is asked for as over TLS.
    tls: bool
    # Text that must be in the answer, or null. Example: ok.
    text: str | None = optional()


@dataclasses.dataclass(frozen=True, kw_only=True)
class FirstQuestion:
    """The request by which new code is judged before it goes live, where no probe is stated."""

    # Path that is asked for. Example: /.
    path: str
    # Host name that is asked for. Example: localhost.
    host: str
    # Whether it is asked for as over TLS.
    tls: bool
    # Whether the answer counts: by what the live one answers.
    judged: bool
    # Socket of the live one. Example: /run/wsgi/shop.sock.
    live: str
    # Protocol of that socket: uwsgi or http.
    protocol: str
    # WSGI callable. Example: manage:app.
    callable: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """A request to an application through a site, or over its own socket, and what is right of the answer."""

    TAKEN_BY: ClassVar[str] = "site_answers.questions"

    # Name of the application. Example: shop.
    app: str
    # Instances of which one answers. Example: [shop-1, shop-2].
    instances: list[str]
    # Path that is asked for. Example: /.
    path: str
    # Host name that is asked for. Example: shop.example.com.
    host: str
    # Whether TLS is spoken.
    tls: bool
    # Log files whose lines tell why an answer is wrong. Example: [/var/log/uwsgi/shop/server.log].
    logs: list[str]
    # Drop-ins that tell which files hold its environment, and the files with its secrets.
    unit_files: list[str]
    # Units whose journal tells why an answer is wrong. Example: [uwsgi@shop.service].
    units: list[str]
    # File of the site that leads there. Example: /etc/nginx/conf.d/shop.example.com.conf.
    file: str | None = optional()
    # Address at which nginx answers. Example: 127.0.0.1:80.
    nginx: str | None = optional()
    # Whether nginx waits for a PROXY line there.
    proxy_protocol: bool | None = optional()
    # Whether the site is one of the role's own template, so that it surely leads there.
    sure: bool | None = optional()
    # Error log of the site. Example: /var/log/nginx/shop.example.com.error.log.
    error_log: str | None = optional()
    # File that is there while nginx answers for the application itself. Example: /etc/nginx/maintenance/shop.
    maintenance: str | None = optional()
    # Socket that is asked instead of a site. Example: /run/wsgi/shop.sock.
    socket: str | None = optional()
    # Protocol of that socket: uwsgi or http.
    protocol: str | None = optional()
    # Statuses that are right, where a probe states them. Example: [200].
    status: list[int] | None = optional()
    # Text that must be in the answer. Example: ok.
    text: str | None = optional()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Maintenance:
    """An application that is put into maintenance, or taken out of it."""

    TAKEN_BY: ClassVar[str] = "maintenance"

    # Name of the application. Example: shop.
    app: str
    # Whether it is to be in maintenance.
    enabled: bool
    # Files of the sites that lead to it. Example: [/etc/nginx/conf.d/shop.example.com.conf].
    files: list[str]
    # Whether it takes new workers of nginx's to see the flag.
    reload: bool
    # What is asked through nginx to see that it is on, or off.
    questions: list[Question]
    # Addresses of nginx's to which the host itself comes as one that may pass. Example: [127.0.0.1:80].
    passing: list[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Code:
    """What to look at, and to name, where a module is missing."""

    # Folder of the code. Example: /srv/wsgi/shop/current.
    path: str
    # Module that is loaded, or null. Example: manage.
    module: str | None
    # A file in the code, a list of requirements, auto, or null. Example: requirements.txt.
    requirements: str | list[str] | None
    # Virtualenv that a user states, or null. Example: /srv/venv.
    virtualenv: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preflight:
    """An application whose new code is loaded in a process of its own before it goes live."""

    TAKEN_BY: ClassVar[str] = "uwsgi_preflight.apps"

    # Name of the application. Example: shop.
    name: str
    # Account that runs it. Example: wsgi-shop.
    user: str
    # Group that runs it. Example: wsgi-shop.
    group: str
    # uWSGI's options, [[name, value], ...]. Example: [[processes, '2']].
    options: Pairs
    # Environment variables by name; no message repeats a value.
    environment: dict[str, str]
    # Contents of files that the unit hands over, by path; they are not live yet.
    files: dict[str, str]
    # Files with secrets that the unit hands over, whose values no message repeats. Example: [/etc/uwsgi/shop.secrets].
    secret_files: list[str]
    # Probe that a user states, or null.
    probe: Probe | None = mapping()
    # How it is judged without a probe.
    question: FirstQuestion
    # systemd unit of the first instance. Example: uwsgi@shop-1.service.
    unit: str
    # Drop-in of that unit. Example: /etc/systemd/system/uwsgi@shop-1.service.d/10-publish-shop.conf.
    dropin: str
    # Lines of that drop-in, [[name, value], ...]. Example: [[User, wsgi-shop]].
    service: Pairs
    # What to look at where a module is missing.
    code: Code
    # Language of a configuration that a template of a user's own makes. Example: ini.
    format: str | None = optional()
    # Template of a user's own that makes the configuration. Example: mine.ini.j2.
    template: str | None = optional()
    # Variables of that template.
    vars: dict[str, Any] | None = optional()
    # Template of a user's own that makes the drop-in. Example: mine.service.j2.
    service_template: str | None = optional()
    # Variables of that template.
    service_vars: dict[str, Any] | None = optional()
    # The uWSGI that loads it, or null for that of uwsgi_python. Example: /opt/uwsgi/2.0.31-python2.7/bin/uwsgi.
    binary: str | None = optional()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reload:
    """An instance as graceful.wsgi.uwsgi_reload takes it."""

    TAKEN_BY: ClassVar[str] = "uwsgi_reload.instances"

    # Name of the instance. Example: shop-1.
    name: str
    # Pid file of the master. Example: /run/uwsgi-shop-1/pid.
    pidfile: str
    # uWSGI's configuration file. Example: /etc/uwsgi/shop-1.ini.
    config: str
    # Probe that a user states, or null.
    probe: Probe | None = mapping()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """A command of an application's own."""

    # What it is called in messages. Example: python manage.py migrate.
    name: str
    # Its words. Example: [python, manage.py, migrate].
    words: list[str]
    # Whether one host of a play runs it for all.
    once: bool
    # Seconds that it may take. Example: 600.
    timeout: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class AppCommands:
    """What an application runs before a release of it goes live, and after."""

    TAKEN_BY: ClassVar[str] = "app_commands.commands"

    # Name of the application. Example: shop.
    name: str
    # Group that may read its code. Example: wsgi-shop.
    group: str
    # Folder of the live code. Example: /srv/wsgi/shop/current.
    code: str
    # Folder in which they run. Example: /srv/wsgi/shop/current/web.
    folder: str
    # Virtualenv whose programs come first. Example: /srv/wsgi/shop/current/.venv.
    virtualenv: str
    # Folders of sys.path. Example: [/srv/wsgi/shop/current].
    pythonpath: list[str]
    # Commands in the new release, before anything of it is live.
    before_live: list[Command]
    # Commands in the live release, once it answers.
    after_live: list[Command]
    # Folders of the release that the application's account may write meanwhile. Example: [staticfiles].
    writable: list[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Background:
    """A process of a worker, or a timer, as systemd runs it beside the application's uWSGI."""

    TAKEN_BY: ClassVar[str] = "app_background.background"

    # Its unit without the ending. Example: wsgi-shop-celery@1.
    name: str
    # Name of the application. Example: shop.
    app: str
    # What it is called in messages. Example: the worker celery.
    said: str
    # systemd unit that is enabled and started. Example: wsgi-shop-celery@1.service.
    unit: str
    # Unit that a timer starts, null for a worker. Example: wsgi-shop-cleanup.service.
    job: str | None
    # Files whose change takes a restart. Example: [/etc/systemd/system/wsgi-shop-celery@.service].
    unit_files: list[str]
    # Links whose target says which code is live; none for a timer, whose job begins with what is live then. Example:
    # [/srv/wsgi/shop/current].
    links: list[str]
    # Seconds that it is given to finish. Example: 300.
    stop_timeout: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Account:
    """A user that must be there."""

    TAKEN_BY: ClassVar[str] = "publish_info.accounts"

    # Name of the user. Example: wsgi-shop.
    name: str
    # Primary group of the user. Example: wsgi-shop.
    group: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """An account that must be a member of a group."""

    TAKEN_BY: ClassVar[str] = "publish_info.members"

    # Name of the account. Example: nginx.
    user: str
    # Group that it is to be a member of. Example: wsgi-shop.
    group: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnerChange:
    """What only an instance writes, which changes its owner with the instance's account."""

    TAKEN_BY: ClassVar[str] = "publish_info.owner_changes"

    # Name of the instance. Example: shop-1.
    name: str
    # Drop-in that tells the account which ran it before.
    dropin: str
    # Account that it is to run as. Example: wsgi-shop.
    user: str
    # Group that it is to run as. Example: wsgi-shop.
    group: str
    # Files that are its own. Example: [/var/log/uwsgi/shop/server-1.log].
    files: list[str]
    # Folders that are its own. Example: [/run/wsgi/shop-1.d].
    folders: list[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FirstRun:
    """What a first run makes of an application and, where it fails, goes again."""

    TAKEN_BY: ClassVar[str] = "publish_info.first_runs"

    # Name of the application. Example: shop.
    name: str
    # Drop-ins of its units; where one is there, it is no first run.
    dropins: list[str]
    # Folders, that of the code first. Example: [/srv/wsgi/shop].
    folders: list[str]
    # Files that only it writes. Example: [/var/log/uwsgi/shop/server.log].
    files: list[str]
    # Folders of git's account for it. Example: [/var/lib/graceful-wsgi/git/repos/shop].
    clones: list[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Served:
    """A part of releases that nginx serves by itself, and so must be able to read."""

    TAKEN_BY: ClassVar[str] = "nginx_served.served"

    # Variable that names it. Example: publish_sites[0].locations[1].static.
    variable: str
    # Path as nginx names it. Example: /srv/wsgi/shop/current/static.
    path: str
    # Whether the path is one file, not a folder.
    file: bool
    # Account of nginx's workers. Example: nginx.
    user: str
    # Groups that nginx is or becomes a member of. Example: [wsgi-shop].
    groups: list[str]
    # The path below a release. Example: static.
    release: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Uwsgi:
    """The uWSGI that applications run on."""

    # Path of the binary. Example: /opt/uwsgi/2.0.31-python3.11/bin/uwsgi.
    binary: str | None
    # Version of its Python. Example: '3.11'.
    python: str | None
    # Words that make a virtualenv, before its path. Example: [/usr/bin/python3.11, -m, venv].
    venv_command: list[str] | None
    # Requirement of the pip that virtualenvs get. Example: pip.
    pip: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pip:
    """How pip reaches an index."""

    # Environment of pip, which may hold a password. Example: {PIP_INDEX_URL: https://index.example.com/simple}.
    env: dict[str, Any]
    # Bundle of certificates on the host, empty for pip's own. Example: /etc/ssl/certs/ca-certificates.crt.
    cert: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class UvWheel:
    """The wheel of uv that hosts are to have."""

    TAKEN_BY: ClassVar[str] = "releases.uv"

    # sha256 of the wheel, 64 digits.
    sha256: str
    # What pip fetches, with its checksum. Example: uv==0.13.9 --hash=sha256:64 digits.
    requirement: str
    # Further words for pip download. Example: [--platform=musllinux_1_1_x86_64, --no-deps].
    pip: list[str]
    # Path on the controller where it is brought from there, empty where the host fetches it. Example: /home/me/uv.whl.
    wheel: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class KitWheels:
    """The wheels of a kit that virtualenvs are filled from."""

    # Folder of the kit on the controller. Example: /home/me/kit.
    folder: str
    # Files below it, by application. Example: {shop: [wheels/flask.whl]}.
    apps: dict[str, list[str]]
    # sha256 of each file. Example: {wheels/flask.whl: 64 digits}.
    files: dict[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """A site: its server block, and what goes with it outside of that."""

    # Name of the site, by which its file is called. Example: shop.example.com.
    name: str = public()
    # File of the site. Example: /etc/nginx/conf.d/shop.example.com.conf.
    file: str = public()
    # Directives outside of the server block, [[name, value, children or null], ...].
    http: list[Directive] = public()
    # The server block, [server, '', [[name, value, children or null], ...]].
    server: Directive = public()
    # Log files of its own. Example: [/var/log/nginx/shop.example.com.access.log].
    logs: list[str]
    # Template that makes the file. Example: site.conf.j2.
    template: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class HookRelease:
    """An application as tasks of a user's own see it, in publish_releases; plugin_utils/hook_plan.py completes it."""

    # Name of the application. Example: shop.
    name: str = public()
    # Folder of the release that this run makes live; of the live one in the stage fetch. Example:
    # /srv/wsgi/shop/releases/4f1c09d2a7e3.
    path: str | None = public()
    # The same with chdir, where the workers stand. Example: /srv/wsgi/shop/releases/4f1c09d2a7e3/web.
    chdir: str | None = public()
    # Folder of the virtualenv of that release, null where it has none or, before it is built, none that is known.
    # Example: /srv/wsgi/shop/venvs/0123456789ab.
    virtualenv: str | None = public()
    # Folders of that release that sites serve by static. Example: [/srv/wsgi/shop/releases/4f1c09d2a7e3/static].
    static: list[str] = public()
    # Name of the release: a digest or a commit; null for code that is on the host. Example: 4f1c09d2a7e3.
    id: str | None = public(default=None)
    # Name of the release that was live when the run began, null for none. Example: 0b9e6d1f2c44.
    previous: str | None = public(default=None)
    # Whether the two are not the same; null in the stage fetch, where nobody knows.
    new_code: bool | None = public(default=None)
    # Folder by which the live code is reached. Example: /srv/wsgi/shop/current.
    code: str = public()
    # Folder of the application. Example: /srv/wsgi/shop.
    home: str = public()
    # Account that it runs as. Example: wsgi-shop.
    user: str = public()
    # Group that it runs as. Example: wsgi-shop.
    group: str = public()
    # File with its environment, which only root reads and which is written in the stage prepare, or null. Example:
    # /etc/uwsgi/shop.env.
    env_file: str | None = public()
    # Names of the variables in that file; their values are in no variable of a task. Example: [DATABASE_URL].
    env_names: list[str] = public()
    # Files with its secrets, which only root reads. Example: [/etc/uwsgi/shop.secrets].
    secret_files: list[str] = public()
    # Files of its configuration and units. Example: [/etc/uwsgi/shop.ini].
    configuration: list[str] = public()
    # Names of its instances. Example: [shop-1, shop-2].
    instances: list[str] = public()
    # Their systemd units. Example: [uwsgi@shop-1.service].
    units: list[str] = public()
    # Whether its code comes from git.
    from_git: bool = public()


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishSettings:
    """Variables of the role publish that its tasks read, each of its type."""

    # Number of releases that stay. Example: 5.
    keep_releases: int
    # Whether what the set names no more is removed.
    prune: bool
    # Whether code and logs of that are removed, too.
    prune_data: bool
    # Applications that are reloaded, empty for all. Example: [shop].
    reload: list[str]
    # Folder of the applications. Example: /srv/wsgi.
    root: str
    # Seconds that an application has to come up, and to end. Example: 60.
    timeout: int
    # Seconds to wait for another run on the set; 0 fails at once. Example: 60.
    lock_timeout: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeptSettings:
    """How an application is run, as it is kept with the release that is run so; see kept_settings.py."""

    # Its name. Example: shop.
    name: str
    # As JSON, with the names of its secrets and none of their values. Example: {"settings": {}, "secrets": []}.
    settings: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Balanced:
    """The balancers that a host is behind."""

    # Name of the host. Example: web1.
    name: str
    # How it is called in their upstreams. Example: 192.0.2.1.
    address: str
    # Hosts that lead to it; empty for none. Example: [lb1, lb2].
    balancers: list[str]
    # Seconds to wait for connections to it to end. Example: 30.
    timeout: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishPlan(Plan):
    """The plan of the role publish."""

    # Variables that tasks read.
    settings: PublishSettings
    # Whether files and units of somebody else's may be replaced.
    take_over: bool
    # What the role nginx has left to be tested and put in place together with the sites; empty for nothing.
    carried: dict[str, Any]
    # The uWSGI that applications run on; null while nobody knows it.
    uwsgi: Uwsgi | None
    # Accounts that become members of groups.
    members: list[Member]
    # What nginx serves out of releases, asked once they are there.
    served: list[Served]
    # The same of what only commands of before_live put there.
    served_filled: list[Served]
    # What changes its owner with an instance's account.
    owner_changes: list[OwnerChange]
    # What a first run makes, which goes again where it fails.
    first_runs: list[FirstRun]
    # Folders with one of each application's name. Example: [/srv/wsgi, /var/log/uwsgi].
    roots: list[str]
    # Where each of the releases is said in the variables. Example: [publish_apps_shop[0]].
    app_variables: list[str]
    # Name of the set. Example: main.
    set: str
    # What the set publishes, by set and variable. Example: {main: {publish_apps: [shop], publish_sites: []}}.
    published: dict[str, dict[str, list[str]]]
    # All instances of all applications.
    instances: list[Instance]
    # Processes of workers, and timers, of all applications.
    background: list[Background]
    # Seconds for which a run may be silent while workers end and begin. Example: 1500.
    background_lease: int
    # Names of instances by application. Example: {shop: [shop-1, shop-2]}.
    instances_by_app: dict[str, list[str]]
    # Users that must be there.
    users: list[Account]
    # Account that runs pip. Example: wsgi-build.
    build_user: str
    # Account that runs git. Example: wsgi-git.
    git_user: str
    # How pip reaches an index.
    pip: Pip
    # The uv that fills virtualenvs; empty where pip does.
    uv: UvWheel | None = mapping()
    # The wheels of a kit, or null.
    kit: KitWheels | None = mapping()
    # The code of each application.
    releases: list[Release]
    # Instances as they are reloaded by name.
    reloads: list[Reload]
    # Applications as their new code is loaded before it goes live.
    preflights: list[Preflight]
    # What is asked of each application and site once it is live.
    questions: list[Question]
    # The switch that graceful.wsgi.maintenance was asked for; empty for none.
    maintenance: list[Maintenance]
    # Names of instances whose code is taken up by a second generation. Example: [chat-1].
    reloaded_by_standby: list[str]
    # Instances as they are started, restarted and reloaded.
    uwsgi_instances: list[UwsgiInstance]
    # Configurations and units of the applications.
    app_bundle: Bundle
    # The server blocks.
    site_bundle: SiteBundle
    # Files of tasks of the user's own, by the point at which they run. Example: {before_switch: [/me/migrate.yml]}.
    hooks: dict[str, list[str]]
    # Applications as those tasks see them.
    hook_releases: list[HookRelease]
    # Applications with commands of their own.
    commands: list[AppCommands]
    # Names of those whose new code answers only once commands have run. Example: [shop].
    before_live: list[str]
    # The balancers that the host is taken out of while it is updated.
    balanced: Balanced
    # What is kept of the applications with their releases that are live.
    kept_settings: list[KeptSettings]


# -- nginx ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class NginxSettings:
    """Variables of the role nginx that its tasks read."""

    # Template of nginx.conf. Example: nginx.conf.j2.
    conf_template: str
    # Template of nginx.service. Example: nginx.service.j2.
    unit_template: str
    # How many artifacts stay on a host, that in use among them. Example: 2.
    keep_artifacts: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class NginxBuild:
    """Who builds nginx, where and with what."""

    # Host that builds, empty where each builds its own. Example: builder.example.com.
    host: str
    # Whether the controller builds.
    local: bool
    # Whether the host that builds has to be asked of which kind it is, and the plan made anew.
    lacks_facts: bool
    # Family whose packages a build takes, localhost for the controller's commands, or null. Example: Debian.
    family: str | None
    # What ansible.builtin.package is to use. Example: apt.
    package_manager: str
    # Folder of builds, artifacts and logs. Example: /var/lib/graceful-wsgi/nginx.
    home: str
    # Folder of the artifact where it is built. Example: /var/lib/graceful-wsgi/nginx/artifacts/1.30.6-edd1b1d2d621.
    artifact: str
    # Log of the build. Example: /var/lib/graceful-wsgi/nginx/logs/1.30.6-edd1b1d2d621.log.
    log: str
    # Account that builds, empty on the controller. Example: nginx-build.
    user: str
    # Words before the command that builds. Example: [runuser, -u, nginx-build, --].
    run_as: list[str]
    # Owner of the folders, empty on the controller. Example: root.
    owner: str
    # Packages, or commands, that a build takes. Example: [gcc, make].
    packages: list[str]
    # Packages that are installed with those where one is missing. Example: [logrotate].
    extra_packages: list[str]
    # Command that prints "installed NAME" for each of them that is there; empty where none is needed.
    package_query: list[str]
    # Whether those that are missing are installed; where not, the role fails before anything changes.
    installs_packages: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """An archive that nginx is built from."""

    # Name of the component. Example: pcre2.
    name: str
    # Version. Example: '10.49'.
    version: str
    # Name by which nginx_checksums knows it. Example: pcre2-10.49.
    release: str
    # Name of the file. Example: pcre2-10.49.tar.gz.
    file: str
    # sha256 that it must have, 64 digits.
    sha256: str
    # Path on the controller, or null. Example: /home/me/sources/pcre2-10.49.tar.gz.
    path: str | None
    # URL that it is downloaded from, or null. Example: https://nginx.org/download/nginx-1.30.6.tar.gz.
    url: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZigWheel:
    """The wheel that zig comes in."""

    # Version. Example: 0.15.2.
    version: str
    # Name by which nginx_checksums knows it. Example: zig-0.15.2-x86_64.
    release: str
    # Name of the file.
    file: str
    # sha256 that it must have, 64 digits.
    sha256: str
    # Platform that pip is told. Example: manylinux2010_x86_64.
    platform: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Download:
    """How patient downloads are."""

    # Seconds. Example: 60.
    timeout: int
    # How often one that failed is tried again. Example: 3.
    retries: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class NginxPlan(Plan):
    """The plan of the role nginx."""

    # Variables that tasks read.
    settings: NginxSettings
    # Whether files, units and a running nginx of somebody else's may be replaced.
    take_over: bool
    # Name of the artifact: version and digest of what makes one differ from another. Example: 1.30.6-edd1b1d2d621.
    id: str
    # Version of nginx. Example: 1.30.6.
    version: str
    # Folder of the artifact on the host. Example: /var/lib/graceful-wsgi/nginx/artifacts/1.30.6-edd1b1d2d621.
    artifact: str
    # The binary in it.
    binary: str
    # Whether it needs no library and no loader.
    static: bool
    # What the artifact is made of; its manifest keeps it, and the digest is one of it.
    about: dict[str, Any]
    # Who builds, where and with what.
    build: NginxBuild
    # The controller's folder of artifacts. Example: ~/.cache/graceful-wsgi/nginx.
    cache: str
    # How many of them stay whatever their age. Example: 5.
    cache_keep: int
    # Days since a host last got one after which it goes; 0 for never, and in a kit, which is no cache. Example: 90.
    cache_days: int
    # Names of those that number and age take. Example: [1.28.3-edd1b1d2d621].
    cache_old: list[str]
    # Processor of the host, or null. Example: x86_64.
    arch: str | None
    # Archives that it is built from.
    sources: list[Source]
    # The wheel of zig, or null where the host's compiler builds.
    zig: ZigWheel | None
    # Lines of the script that builds which unpack the sources.
    unpack: list[str]
    # Lines of the script that builds which put zig in the place of the compiler; none for the host's own.
    toolchain: list[str]
    # Whether nginx's signature is checked.
    signature: bool
    # Files on the controller with the keys for that. Example: [keys/one.asc].
    signing_keys: list[str]
    # Arguments of ./configure. Example: [--prefix=/etc/nginx].
    flags: list[str]
    # How many compilers run at once, as a word of a shell. Example: '4'.
    jobs: str
    # Python of the host that builds. Example: python3.
    python: str
    # Seconds after which a build is given up. Example: 3600.
    timeout: int
    # Environment of downloads. Example: {https_proxy: http://proxy.example.com:3128}.
    environment: dict[str, str]
    # How patient downloads are.
    download: Download
    # Account of the workers. Example: nginx.
    user: str
    # Group of the workers. Example: nginx.
    group: str
    # Directives of nginx.conf, [[name, value, children or null], ...]; a template of it gets them as tree.
    conf: list[Directive] = public()
    # Lines of nginx.service by section, {section: [[name, value], ...]}.
    unit: Sections = public()
    # Whether nginx starts with the host.
    enabled: bool
    # Days of logs that are kept. Example: 14.
    log_keep: int
    # Folders whose files may refuse the configuration until the role publish writes them. Example: [/etc/nginx/conf.d].
    leave_to_others: list[str] = dataclasses.field(default_factory=list)


# -- uWSGI ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class UwsgiSettings:
    """Variables of the role uwsgi that its tasks read, each of its type."""

    # Version of uWSGI. Example: 2.0.31.
    version: str
    # Python that is meant, a name or a path, empty for the host's own. Example: python3.12.
    python: str
    # Features that the binary must have. Example: [ssl, json].
    features: list[str]
    # Folder of all versions. Example: /opt/uwsgi.
    home: str
    # How many versions stay, that in use among them. Example: 2.
    keep_homes: int
    # Folder of the configurations. Example: /etc/uwsgi.
    conf_dir: str
    # Folder of the logs. Example: /var/log/uwsgi.
    log_dir: str
    # Account of instances that name none. Example: uwsgi.
    user: str
    # Group of that account. Example: uwsgi.
    group: str
    # Folder with wheels on the controller, empty for none. Example: wheels.
    wheel_dir: str
    # More words for pip. Example: [--verbose].
    pip_extra_args: list[str]
    # Seconds after which a build is given up. Example: 3600.
    build_timeout: int
    # Template of uwsgi@.service. Example: uwsgi@.service.j2.
    unit_template: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Virtualenv:
    """The virtualenv for Python 2.7, which has no venv."""

    # What pip is asked for. Example: virtualenv==16.7.12.
    requirement: str
    # Name of its wheel.
    wheel: str
    # Folder that it is unpacked in. Example: /opt/uwsgi/tools/virtualenv-16.7.12.
    home: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Need:
    """A package that a build takes."""

    TAKEN_BY: ClassVar[str] = "uwsgi_build_info.needs"

    # Name of the package. Example: libssl-dev.
    package: str
    # Files of which one proves that it is there. Example: [/usr/include/openssl/ssl.h].
    files: list[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class UwsgiBuilder:
    """Who builds the wheel of uWSGI."""

    # Host that builds, empty where each builds its own. Example: builder.example.com.
    host: str
    # Whether the controller builds.
    local: bool
    # Account that builds, empty on the controller. Example: uwsgi-build.
    user: str
    # Folder of builds and logs. Example: /var/lib/graceful-wsgi/uwsgi.
    home: str
    # Whether it builds for hosts of another kind, of which headers and libraries are brought.
    brought: bool
    # Packages of libraries by name, for a binary that does not run there. Example: {libssl.so.3: libssl3}.
    library_packages: dict[str, str]
    # The controller's folder of wheels. Example: ~/.cache/graceful-wsgi/uwsgi.
    cache: str
    # How many of them stay whatever their age. Example: 5.
    cache_keep: int
    # Days since a host last got one after which it goes; 0 for never, and in a kit, which is no cache. Example: 90.
    cache_days: int
    # Names of those that number and age take. Example: [2.0.28-cp311-edd1b1d2d621].
    cache_old: list[str]
    # The virtualenv for Python 2.7 on the host that builds.
    virtualenv: Virtualenv
    # Packages that a build takes there.
    needs: list[Need]
    # Packages of a Python by what they bring and its version. Example: {headers: {'*': 'python{version}-dev'}}.
    python_packages: dict[str, dict[str, str]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cross:
    """How zig builds for a host of another kind than the controller's: nothing of the controller's own is found."""

    # Folders of headers. Example: [@place@/sysroot/usr/include].
    includes: list[str]
    # Folders of libraries. Example: [@place@/sysroot/usr/lib64].
    libraries: list[str]
    # Environment of the build. Example: {CC: '@place@/bin/zig-cc'}.
    environment: dict[str, str]
    # Template of each command that stands beside zig. Example: {zig-cc: cross-cc}.
    commands: dict[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Toolchain:
    """zig in the place of the host's compiler. ``place`` stands for the folder of what the controller brings."""

    # Name by which uwsgi_checksums knows it. Example: zig-0.15.2-x86_64.
    release: str
    # What pip is asked for, with its sha256.
    requirement: str
    # Words for pip. Example: [--platform=manylinux2010_x86_64].
    pip: list[str]
    # Processor. Example: x86_64.
    arch: str
    # Words for the compiler. Example: -mcpu=baseline.
    options: str
    # Folders of headers. Example: [/usr/include].
    includes: list[str]
    # Folders of Python's headers, less the version at their end. Example: [@place@/sysroot/usr/include/python].
    python_includes: list[str]
    # Folders of libraries. Example: [/usr/lib64].
    libraries: list[str]
    # What stands for the folder in the paths here. Example: @place@.
    place: str
    # Environment of the build. Example: {CC: '@place@/bin/zig-cc'}.
    environment: dict[str, str]
    # Folder with packages of headers on the controller, empty for the host's. Example: headers.
    headers_dir: str
    # Template of each command that stands beside zig. Example: {zig-cc: zig-cc}.
    commands: dict[str, str]
    # What is otherwise where the controller builds for hosts of another kind, or null.
    cross: Cross | None = mapping()
    # What a build would miss on the controller, as lines of a refusal.
    lacks: list[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wheel:
    """A wheel of uWSGI on the controller, as it is."""

    # Name of the file.
    file: str
    # Oldest glibc that its binary runs with, or null. Example: '2.36'.
    glibc: str | None
    # Libraries that its binary takes. Example: [libssl.so.3].
    libraries: list[str]
    # Folders that its binary looks for them in.
    paths: list[str]
    # Features that it was built with, or null where the bytes do not tell. Example: [ssl].
    features: list[str] | None
    # What is wrong with it, empty for nothing.
    broken: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class WheelFolder:
    """The wheels of uWSGI that the controller has for hosts that build none; see module_utils/uwsgi_wheels.py."""

    # Folder on the controller. Example: wheels.
    folder: str
    # Version of uWSGI that is wanted. Example: 2.0.31.
    version: str
    # Python that is meant, empty for the host's own. Example: python3.12.
    python: str
    # Folder of all versions. Example: /opt/uwsgi.
    root: str
    # Features that the binary must have. Example: [ssl].
    features: list[str]
    # What makes one build differ from another.
    build: dict[str, Any]
    # Account that runs what is looked at. Example: uwsgi-build.
    build_user: str
    # Wheels of that version.
    wheels: list[Wheel]
    # Whether the folder has its source, too.
    sdist: bool
    # Whether no index is asked.
    no_index: bool
    # Whether the role installs packages of libraries.
    managed: bool
    # Folder of the virtualenv for Python 2.7. Example: /opt/uwsgi/tools/virtualenv-16.7.12.
    virtualenv: str
    # Name of its wheel.
    virtualenv_file: str
    # Its version. Example: 16.7.12.
    virtualenv_version: str
    # Whether the folder has that wheel.
    virtualenv_wheel: bool
    # Packages that bring venv, by the version of the Python. Example: {'*': 'python{version}-venv'}.
    venv_packages: dict[str, str]
    # Pythons that need make no pip of their own. Example: ['3.11'].
    pip_wheels: list[str]
    # Packages of libraries by name. Example: {libssl.so.3: libssl3}.
    library_packages: dict[str, str]
    # How somebody installs a package by hand. Example: apt install.
    install: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServiceAccount:
    """How the account of instances is made."""

    # Shell that lets nobody in. Example: /usr/sbin/nologin.
    shell: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class UwsgiPlan(Plan):
    """The plan of the role uwsgi."""

    # Wheels of uWSGI on the controller, or null.
    wheels: WheelFolder | None = mapping()
    # Variables that tasks read.
    settings: UwsgiSettings
    # Whether files and units of somebody else's may be replaced.
    take_over: bool
    # Pythons that applications of this host name; each has a uWSGI of its own beside that of uwsgi_python.
    pythons: list[WantedPython] = dataclasses.field(default_factory=list)
    # What makes one build differ from another. Example: {extra_args: [], env: {}}.
    build: dict[str, Any]
    # zig in the place of the host's compiler, or null.
    toolchain: Toolchain | None = mapping()
    # Packages that a build takes on the host, none where another builds.
    needs: list[Need]
    # Packages of a Python by what they bring and its version. Example: {venv: {'*': 'python{version}-venv'}}.
    python_packages: dict[str, dict[str, str]]
    # Who builds the wheel.
    builder: UwsgiBuilder
    # Family whose packages are installed, empty where none are. Example: Debian.
    family: str
    # What ansible.builtin.package is to use, here and on the host that builds. Example: apt.
    package_manager: str
    # Words of a query that prints "installed NAME" for each package that is; empty where none are installed.
    package_query: list[str]
    # Words of a query that looks for libraries first.
    library_query: list[str]
    # What that prints where all libraries are there.
    libraries_found: str
    # Package of headers by feature. Example: {ssl: libssl-dev}.
    header_packages: dict[str, str]
    # Account that builds. Example: uwsgi-build.
    build_user: str
    # Requirement of pip by version of the Python, * for any other. Example: {'2.7': pip<=20.3.4}.
    pip: dict[str, str]
    # Wheel of pip by version of the Python, for one that brings none. Example: {'3.11': 3.11/pip-25.whl}.
    pip_wheels: dict[str, str]
    # Environment of pip. Example: {PIP_NO_INPUT: '1'}.
    pip_env: dict[str, str]
    # Text of constraints by version of the Python, * for any other.
    constraints: dict[str, str | None]
    # The virtualenv for Python 2.7.
    virtualenv: Virtualenv
    # How the account of instances is made.
    account: ServiceAccount
    # Lines of uwsgi@.service by section, {section: [[name, value], ...]}.
    unit: Sections = public()


# -- the other roles ------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class Repository:
    """A repository of yum that its archive takes the place of."""

    TAKEN_BY: ClassVar[str] = "yum_archive.repositories"

    # Name in brackets. Example: base.
    id: str
    # Name for people. Example: CentOS 7 - base (archive).
    name: str
    # URL of the archive. Example: https://vault.centos.org/7.9.2009/os/$basearch/.
    url: str
    # Whether yum uses it.
    enabled: bool
    # Key of its packages that a user states, empty for none.
    gpgkey: str
    # Key where the file names none. Example: file:///etc/pki/rpm-gpg/RPM-GPG-KEY-CentOS-7.
    default_gpgkey: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoftwareCollection:
    """A Python of a software collection."""

    # Folder of its libraries. Example: /opt/rh/rh-python38/root/usr/lib64.
    lib: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelinuxModule:
    """The module of SELinux's policy for nginx."""

    # Text of the module, in the common intermediate language.
    cil: str
    # File that it is installed from. Example: /var/lib/graceful-wsgi/selinux/graceful-wsgi.cil.
    file: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ElPlan(Plan):
    """The plan of the role el."""

    # Repositories that their archives take the place of.
    repositories: list[Repository]
    # Settings of yum. Example: {timeout: '120'}.
    settings: dict[str, str]
    # Packages that must be there. Example: [gcc].
    packages: list[str]
    # Command that prints "installed NAME" for each of them that is; empty for none.
    package_query: list[str]
    # The software collection of the Python that is meant, or null.
    scl: SoftwareCollection | None
    # The module of SELinux's policy, null where SELinux is off.
    selinux: SelinuxModule | None
    # Booleans of SELinux that are switched on. Example: [httpd_can_network_connect].
    booleans: list[str]
    # Word for firewall-cmd that names a zone; empty for the default one. Example: [--zone=public].
    zone: list[str]
    # What firewalld lets through. Example: [service=http].
    openings: list[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to go."""

    TAKEN_BY: ClassVar[str] = "removal.wanted"

    # Names of applications. Example: [shop].
    apps: list[str]
    # Name of a set, empty for none. Example: main.
    set: str
    # Whether all of it goes.
    all: bool
    # Whether code and logs go, too.
    data: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Places:
    """Where the roles have put the rest."""

    TAKEN_BY: ClassVar[str] = "removal.places"

    # Folder of the applications if it is theirs alone, else empty. Example: /srv/wsgi.
    root: str
    # Folder with one of each application's name. Example: /srv/wsgi.
    homes: str
    # Folder of uWSGI's versions. Example: /opt/uwsgi.
    uwsgi_home: str
    # Folder of uWSGI's configurations. Example: /etc/uwsgi.
    conf_dir: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class RemovePlan(Plan):
    """The plan of the role remove."""

    # Whether nothing is named, so that only what is there is told.
    nothing: bool
    # What is to go.
    wanted: Wanted
    # Folders with one of each application's name. Example: [/srv/wsgi, /var/log/uwsgi].
    roots: list[str]
    # Where the roles have put the rest.
    places: Places
    # The controller's folders of what was built for hosts. Example: {nginx: ~/.cache/graceful-wsgi/artifacts}.
    caches: dict[str, str]
    # Account of each application that is named. Example: {shop: wsgi-shop}.
    accounts: dict[str, str]
    # Home by which an account is known as one that the roles made. Example: {nginx: /var/cache/nginx}.
    made: dict[str, str]
    # Account of nginx's workers. Example: nginx.
    web_user: str
    # Seconds to wait for another run on this host; 0 fails at once. Example: 60.
    lock_timeout: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class KitPlan(Plan):
    """The plan of the role kit."""

    # File that tells of hosts which are not reached, empty to ask them. Example: ./hosts.json.
    facts: str
    # Python that is meant, empty for the host's own. Example: python3.12.
    python: str


# What templates of a user's own are given, by role and variable: the templates that they take the place of, the class,
# and the field of it that the variable is; without a field it is all that public() makes.
GIVEN: dict[str, dict[str, tuple[str, type, str]]] = {
    "nginx": {
        "tree": ("nginx.conf.j2", NginxPlan, "conf"),
        "unit": ("nginx.service.j2", NginxPlan, "unit"),
    },
    "publish": {
        "app": ("app.*.j2, instance.conf.j2", Instance, ""),
        "site": ("site.conf.j2", Site, ""),
    },
    "uwsgi": {"unit": ("uwsgi@.service.j2", UwsgiPlan, "unit")},
}
# What tasks of a user's own are told, by role and variable: each of a list of these.
TOLD: dict[str, dict[str, type]] = {"publish": {"publish_releases[]": HookRelease}}
# A template that does something with what it is given, by role.
TEMPLATE_EXAMPLES = {
    "nginx": """
{% extends 'nginx.conf.j2' %}
{% block more %}
# {{ tree | length }} directives stand above.
{% endblock %}
""",
    "publish": """
{% extends 'app.ini.j2' %}
{% block more %}
# {{ app.processes }} workers of {{ app.app }} in {{ app.chdir }}.
set-placeholder = release={{ app.code }}
{% endblock %}
""",
    "uwsgi": """
# {{ ansible_managed }}
{% for section, lines in unit.items() %}
[{{ section }}]
{% for name, value in lines %}
{{ name }}={{ value }}
{% endfor %}
{% endfor %}
""",
}


_AS_THEY_ARE = {str, int, bool, float, type(None)}


def comments(item: type) -> dict[str, str]:
    """The comment above each field of a class of the model, as its own source has it."""
    found, above = {}, []
    for line in map(str.strip, inspect.getsource(item).splitlines()):
        if line.startswith("# "):
            above.append(line[2:])
            continue
        name, colon, _type = line.partition(": ")
        if colon and name.isidentifier():
            found[name] = " ".join(above)
        above = []
    return found


def plain(value: Any) -> Any:
    """A plan, or a part of one, as tasks get it: of mappings, lists and plain values only."""
    return _plain(value, {})


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """``done``: what was made of parts already, by their id; an instance stands in the plan several times."""
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is list or kind is tuple:
        return [item if type(item) in _AS_THEY_ARE else _plain(item, done) for item in value]
    if id(value) in done:
        return done[id(value)]
    if dataclasses.is_dataclass(value):
        found = {}
        for field in dataclasses.fields(value):
            item = getattr(value, field.name)
            if item is None and field.metadata.get("optional"):
                continue
            found[field.name] = {} if item is None and field.metadata.get("mapping") else _plain(item, done)
        done[id(value)] = found
        return found
    if isinstance(value, Mapping):
        return {key: _plain(item, done) for key, item in value.items()}
    return [_plain(item, done) for item in value] if isinstance(value, (list, tuple)) else value
