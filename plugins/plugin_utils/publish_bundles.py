"""The two bundles of a set: files and folders of its applications, and of its sites."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from . import (
    app_emit,
    app_environment,
    app_secrets,
    command_plan,
    layout,
    log_plan,
    refusal_plan,
    site_plan,
    upstream_plan,
)
from .layout import NGINX_DIR, NGINX_LOG_DIR
from .model import (
    App,
    Bundle,
    File,
    Folder,
    Instance,
    Site,
    SiteBundle,
    Validation,
)
from .nginx_tree import Directive


def _folder(path: str, owner: str, group: str, mode: str = "0755", force: bool = True) -> Folder:
    """A folder; without ``force`` nothing is set on one that is there already."""
    return Folder(path=path, owner=owner, group=group, mode=mode, force=force)


def _links(instances: list[Instance], name: str) -> list[File]:
    """The file by which systemd makes the links of nginx anew at boot."""
    lines = [f"L {one.link} - - - - {one.socket}\n" for one in instances if one.link]
    folders = [f"d {one.socket_dir} 0710 {one.user} {one.web_group} -\n" for one in instances if one.socket_dir]
    content = "".join([f"d {layout.LINK_DIR} 0755 root root -\n", *folders, *lines])
    return [File(dest=layout.tmpfiles(name), content=content)] if lines else []


def _rotation(name: str, logs: list[dict[str, Any]], keep: int) -> list[File]:
    """The file that rotates these logs; none where there is nothing to rotate."""
    # A host can do without the program; it is told.
    given = {"logs": logs, "keep": keep}
    file = File(dest=layout.logrotate(name), template="logrotate.j2", vars=given, reader="logrotate")
    return [file] if logs else []


def _once(folders: Iterable[Folder]) -> list[Folder]:
    """Each path once, as it is said last."""
    return list({folder.path: folder for folder in folders}.values())


def app_bundle_of(
    values: dict[str, Any], apps: Mapping[str, App], uwsgi: dict[str, Any], background: Iterable[File] = ()
) -> Bundle:
    """Configurations and units of the applications, and the folders of their sockets and logs.

    ``background``: the units of their workers and timers.
    """
    name, log_dir = layout.bundle(values["publish_set"], "apps"), uwsgi["uwsgi_log_dir"]
    units = [unit for one in apps.values() for unit in one.instances]
    logs = [(unit.log_file, unit) for unit in units if unit.log_file]
    # An image of a host may lack what is an empty folder elsewhere.
    shared = posixpath.normpath(values["publish_root"]) in log_plan.SHARED
    folders = [_folder(values["publish_root"], "root", "root", force=not shared)]
    folders.append(_folder(layout.TMPFILES_DIR, "root", "root"))
    folders += [_folder(posixpath.dirname(unit.dropin), "root", "root") for unit in units]
    # Nobody else passes through it to the socket.
    folders += [_folder(unit.socket_dir, unit.user, unit.web_group, "0710") for unit in units if unit.socket_dir]
    # The code's own folder belongs to whoever put it there; a log folder that we make is the application's.
    code = {one.code for one in apps.values()}
    folders += [
        log_plan.directory(log, unit, values, log_dir) for log, unit in logs if posixpath.dirname(log) not in code
    ]
    files = [file for unit in units for file in app_emit.files(unit, values["publish_instance_template"])]
    files += [file for app in values["publish_apps"] for file in app_environment.file(app, uwsgi["uwsgi_conf_dir"])]
    files += command_plan.files(apps.values(), uwsgi["uwsgi_conf_dir"])
    files += [file for app in values["publish_apps"] for file in app_secrets.file_of(app, uwsgi["uwsgi_conf_dir"])]
    files += background
    rotated = [log_plan.rotation(log, unit, values, log_dir) for log, unit in logs]
    files += _links(units, name) + _rotation(name, rotated, values["publish_log_keep"])
    return Bundle(name=name, directories=_once(folders), files=files)


def site_bundle_of(
    values: dict[str, Any],
    apps: Mapping[str, App],
    sites: list[Site],
    host: dict[str, Any],
    nginx: dict[str, Any],
) -> SiteBundle:
    """The server blocks, what several of them share, what refuses other names, and the folders of their logs."""
    publish_set, version = values["publish_set"], nginx["nginx_version"]
    name = layout.bundle(publish_set, "sites")
    # What lies in nginx's own folder is rotated with its other logs, and a device not at all.
    elsewhere = (NGINX_LOG_DIR, "/dev")
    logs = sorted({log for site in sites for log in site.logs if posixpath.dirname(log) not in elsewhere})
    folders = [_folder(posixpath.dirname(log), "root", "root", force=False) for log in logs]
    files = [File(dest=one.file, template=one.template, vars={"site": one}, belongs_to=one.name) for one in sites]
    # nginx lets no other file say it again.
    http: list[Directive] = site_plan.shared(sites, publish_set)
    groups = host.get("groups") or {}
    http += [upstream_plan.plan(item, publish_set, groups, version) for item in values["publish_upstreams"]]
    http += app_emit.shared(apps.values(), publish_set, version)
    if http:
        dest = layout.site(layout.shared_site(publish_set))
        files.insert(0, File(dest=dest, template="http.conf.j2", vars={"http": http}))
    refusing = refusal_plan.plan(values["publish_sites"], publish_set, nginx)
    if refusing:
        dest = layout.refusing_site(publish_set)
        folders.append(_folder(posixpath.dirname(dest), "root", "root"))
        files.append(File(dest=dest, template="http.conf.j2", vars={"http": refusing}))
    reopen = log_plan.kill("USR1", "nginx.service")
    rotated = [{"path": log, "directives": [], "postrotate": reopen} for log in logs]
    if host.get("foreign_nginx"):
        # Even what applications share is no file of ours among somebody else's, and no reason to start nginx.service.
        folders, files, rotated = [], [], []
    # A pid file of its own: nginx -t makes the real one where nginx does not run.
    test = "/usr/sbin/nginx -t -q -c {tree}/nginx.conf -g 'pid {tree}/test.pid;'"
    return SiteBundle(
        name=name,
        # An empty list says nothing of what is to go.
        prune=values["publish_prune"] and bool(values["publish_sites"]),
        directories=_once(folders),
        files=files + _rotation(name, rotated, values["publish_log_keep"]),
        validate=[Validation(tree=NGINX_DIR, command=test)],
    )
