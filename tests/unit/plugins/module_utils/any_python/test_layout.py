"""What layout.py composes it takes apart again (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import layout


@pytest.mark.parametrize("instance, app", [("shop", "shop"), ("shop-1", "shop"), ("a.b-10", "a.b"), ("a-b", "a-b")])
def test_parse_dropin_of_a_dropin_gives_its_instance_and_application(instance, app):
    path = layout.dropin(instance, app)
    assert path.startswith(layout.unit_folder(instance) + "/10-publish")
    assert layout.parse_dropin(path) == (instance, app)


@pytest.mark.parametrize(
    "path",
    [layout.UWSGI_UNIT, "/etc/uwsgi/shop.ini", "/run/systemd/system/uwsgi@a.service.d/10-publish.conf"],
)
def test_parse_dropin_of_another_file_gives_none(path):
    assert layout.parse_dropin(path) is None


def test_names_that_hosts_have_published_before_are_as_they_were():
    assert layout.dropin("shop-2", "shop") == "/etc/systemd/system/uwsgi@shop-2.service.d/10-publish-shop.conf"
    assert layout.dropin("shop", "shop") == "/etc/systemd/system/uwsgi@shop.service.d/10-publish.conf"
    assert (layout.link("a"), layout.socket("a")) == ("/run/wsgi/a.sock", "/run/wsgi/a.d/sock")
    assert layout.standby_socket(layout.socket_dir("a")) == "/run/wsgi/a.d/next"
    assert layout.standby_unit(layout.unit("a")) == "uwsgi@a@next.service"
    assert layout.run_dir("a") == "/run/uwsgi-a"
    assert layout.parse_site(layout.site("a.test")) == "a.test" and layout.parse_site("/etc/nginx/a.conf") is None
    assert layout.parse_bundle(layout.bundle("a-b", "apps")) == ("a-b", "apps") and layout.parse_bundle("nginx") is None
    assert layout.logrotate("nginx") == "/etc/logrotate.d/nginx" and layout.tmpfiles("a") == "/etc/tmpfiles.d/a.conf"


DROPINS = [layout.dropin("gone", "gone"), layout.dropin("two-3", "two"), layout.dropin("old-1", "old")]
STALE = ["/etc/uwsgi/gone.ini"] + DROPINS


@pytest.mark.parametrize(
    "others, has, instances, apps",
    [
        ([], {}, ["gone", "old-1", "two-3"], ["gone", "old", "two"]),
        # An instance is gone, and its application has others.
        ([], {"two": ["two-1", "two-2"]}, ["gone", "old-1", "two-3"], ["gone", "old"]),
        # From several instances to one of the application's name.
        ([], {"old": ["old"], "gone": ["gone"], "two": ["two-3"]}, ["old-1"], []),
        # Another set has them by now.
        ([layout.dropin("gone", "gone"), layout.dropin("old-1", "old")], {}, ["two-3"], ["two"]),
        ([layout.dropin("two-1", "two"), "/etc/nginx/conf.d/x.conf"], {}, ["gone", "old-1", "two-3"], ["gone", "old"]),
    ],
)
def test_unpublished_is_what_neither_this_set_nor_another_has(others, has, instances, apps):
    assert layout.unpublished(STALE, others, has) == {"instances": instances, "apps": apps}


def test_unpublished_goes_by_what_the_manifests_say_before_names():
    noted = {layout.dropin("old-1", "old"): "new", layout.dropin("gone", "gone"): "shop"}
    found = layout.unpublished(STALE, [], {"shop": ["shop"]}, noted)
    assert found == {"instances": ["gone", "old-1", "two-3"], "apps": ["new", "two"]}


def test_unpublished_of_nothing_stale_is_nothing():
    assert layout.unpublished([], [], {"shop": ["shop"]}) == {"instances": [], "apps": []}


def test_the_files_of_a_whole_set_are_known_by_their_names():
    for kind in ("apps", "sites"):
        assert layout.parse_of_set(layout.logrotate(layout.bundle("a-b", kind))) == ("a-b", kind)
    assert layout.parse_of_set(layout.tmpfiles(layout.bundle("a-b", "apps"))) == ("a-b", "apps")
    for path in layout.of_all_sites("a-b"):
        assert layout.parse_of_set(path) == ("a-b", "sites")
    for path in (layout.logrotate("nginx"), layout.site("a.test"), layout.dropin("a", "a")):
        assert layout.parse_of_set(path) is None
    lines = "d %s 0710 a b -\nL %s - - - - x\n" % (layout.socket_dir("a"), layout.link("b-1"))
    assert layout.SOCKET_LINE.findall(lines) == ["a", "b-1"]
    assert layout.UNIT_NAME.findall("kill %s %s" % (layout.unit("a"), layout.unit("b-1"))) == ["a", "b-1"]
