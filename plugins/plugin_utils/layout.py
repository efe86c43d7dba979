"""Where the plan puts things: module_utils/layout.py, by which hosts go as well, typed, and what variables move."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping

from ansible_collections.graceful.wsgi.plugins.module_utils import layout

UWSGI_UNIT: str = layout.UWSGI_UNIT
NGINX_UNIT: str = layout.NGINX_UNIT
STATE_DIR: str = layout.STATE_DIR
LINK_DIR: str = layout.LINK_DIR
NGINX_DIR: str = layout.NGINX_DIR
NGINX_CONF: str = layout.NGINX_CONF
NGINX_LOG_DIR: str = layout.NGINX_LOG_DIR
NGINX_PIDFILE: str = layout.NGINX_PIDFILE
NGINX_BINARY: str = layout.NGINX_BINARY
HOST_COMMAND: str = layout.HOST_COMMAND
GIT_HOME: str = layout.GIT_HOME
GIT_ROOTS: tuple[str, ...] = layout.GIT_ROOTS
SHARED: str = layout.SHARED
# Parts of an application's folder that only this collection makes; shared is the application's own.
PARTS: tuple[str, ...] = (layout.RELEASES, layout.VENVS, layout.LOGS, layout.CURRENT, layout.VENV)
CODE_PARTS: tuple[str, ...] = (layout.CURRENT, layout.RELEASES, layout.VENVS)
TMPFILES_DIR = "/etc/tmpfiles.d"


def unit(instance: str) -> str:
    """The unit of an instance. Example: uwsgi@shop-1.service."""
    return str(layout.unit(instance))


def standby_unit(name: str) -> str:
    """The unit of the second generation of one. Example: uwsgi@shop-1@next.service."""
    return str(layout.standby_unit(name))


def dropin(instance: str, app: str) -> str:
    """The drop-in of an instance. Example: /etc/systemd/system/uwsgi@shop-1.service.d/10-publish-shop.conf."""
    return str(layout.dropin(instance, app))


def run_dir(instance: str) -> str:
    """The folder of an instance's run files. Example: /run/uwsgi-shop-1."""
    return str(layout.run_dir(instance))


def link(instance: str) -> str:
    """The link by which nginx reaches an instance. Example: /run/wsgi/shop-1.sock."""
    return str(layout.link(instance))


def socket_dir(instance: str) -> str:
    """The folder of an instance's socket. Example: /run/wsgi/shop-1.d."""
    return str(layout.socket_dir(instance))


def socket(instance: str) -> str:
    """The socket of an instance that states none. Example: /run/wsgi/shop-1.d/sock."""
    return str(layout.socket(instance))


def standby_socket(folder: str) -> str:
    """The socket of a second generation. Example: /run/wsgi/shop-1.d/next."""
    return str(layout.standby_socket(folder))


def site(name: str) -> str:
    """The file of a site. Example: /etc/nginx/conf.d/shop.example.com.conf."""
    return str(layout.site(name))


def maintenance(app: str) -> str:
    """The flag of an application in maintenance. Example: /etc/nginx/maintenance/shop."""
    return str(layout.maintenance(app))


def bundle(publish_set: str, kind: str) -> str:
    """The bundle of a set's apps or sites. Example: publish-main-apps."""
    return str(layout.bundle(publish_set, kind))


def shared_site(publish_set: str) -> str:
    """What the file of what all sites of a set share is called. Example: publish-main."""
    return str(layout.shared_site(publish_set))


def refusing_site(publish_set: str) -> str:
    """The file of the servers that refuse names which no site has. Example: /etc/nginx/default.d/publish-main.conf."""
    return str(layout.refusing_site(publish_set))


def logrotate(name: str) -> str:
    """The file that rotates logs. Example: /etc/logrotate.d/publish-main-apps."""
    return str(layout.logrotate(name))


def tmpfiles(name: str) -> str:
    """The file by which systemd makes links anew at boot. Example: /etc/tmpfiles.d/publish-main-apps.conf."""
    return str(layout.tmpfiles(name))


def home(root: str, app: str) -> str:
    """The folder of an application. Example: /srv/wsgi/shop."""
    return posixpath.join(root, app)


def current(root: str, app: str) -> str:
    """The link to an application's live release. Example: /srv/wsgi/shop/current."""
    return posixpath.join(home(root, app), layout.CURRENT)


def venv(root: str, app: str) -> str:
    """The link to the virtualenv of code that is no release. Example: /srv/wsgi/shop/venv."""
    return posixpath.join(home(root, app), layout.VENV)


def logs(root: str, app: str) -> str:
    """The folder of an application's own logs. Example: /srv/wsgi/shop/logs."""
    return posixpath.join(home(root, app), layout.LOGS)


def config(conf_dir: str, instance: str, language: str) -> str:
    """uWSGI's configuration of an instance. Example: /etc/uwsgi/shop-1.ini."""
    return posixpath.join(conf_dir, f"{instance}.{language}")


def environment(conf_dir: str, app: str) -> str:
    """The file with an application's environment. Example: /etc/uwsgi/shop.env."""
    return posixpath.join(conf_dir, f"{app}.env")


def command(conf_dir: str, app: str) -> str:
    """The file by which /usr/local/bin/wsgi knows an application. Example: /etc/uwsgi/shop.command."""
    return posixpath.join(conf_dir, f"{app}.command")


def secrets(conf_dir: str, app: str) -> str:
    """The file with an application's secrets. Example: /etc/uwsgi/shop.secrets."""
    return posixpath.join(conf_dir, f"{app}.secrets")


def background_stem(app: str, name: str) -> str:
    """How the units of a worker or a timer begin. Example: wsgi-shop-celery."""
    return str(layout.background_stem(app, name))


def background_mark(app: str) -> str:
    """What the first line of such a unit ends in."""
    return str(layout.background_mark(app))


def worker_template(app: str, name: str) -> str:
    """The file of a worker's unit. Example: /etc/systemd/system/wsgi-shop-celery@.service."""
    return str(layout.worker_template(app, name))


def worker_unit(app: str, name: str, number: int) -> str:
    """The unit of one process of a worker. Example: wsgi-shop-celery@1.service."""
    return str(layout.worker_unit(app, name, number))


def timer_unit(app: str, name: str) -> str:
    """The unit of a timer. Example: wsgi-shop-cleanup.timer."""
    return str(layout.timer_unit(app, name))


def job_unit(app: str, name: str) -> str:
    """The unit that a timer starts. Example: wsgi-shop-cleanup.service."""
    return str(layout.job_unit(app, name))


def unit_file(name: str) -> str:
    """The file of a unit. Example: /etc/systemd/system/wsgi-shop-cleanup.timer."""
    return str(layout.unit_file(name))


def unpublished(
    stale: Iterable[str],
    others: Iterable[str],
    instances_by_app: Mapping[str, Iterable[str]],
    belongs_to: Mapping[str, str] | None = None,
) -> dict[str, list[str]]:
    """{instances, apps} that a set has no more; see module_utils/layout.py."""
    return dict(layout.unpublished(stale, others, instances_by_app, belongs_to))
