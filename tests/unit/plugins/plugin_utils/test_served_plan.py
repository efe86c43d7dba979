"""What of the host the plan has asked whether nginx can read it."""

from types import SimpleNamespace

from ansible_collections.graceful.wsgi.plugins.plugin_utils import served_plan
from ansible_collections.graceful.wsgi.plugins.plugin_utils.problem import Problems

NGINX = {"nginx_user": "nginx", "nginx_hardening": True, "nginx_unit_options": {}}
APPS = {
    "shop": SimpleNamespace(path=None, code="/srv/wsgi/shop/current"),
    "own": SimpleNamespace(path="/home/o", code="/home/o"),
}


def location(path, app=None, static=None, **options):
    return {"path": path, "app": app, "static": static, "options": options}


def site(*locations, **options):
    return [{"options": options, "locations": list(locations)}]


def asked(sites):
    at_once, later = served_plan.checks(sites, APPS, NGINX, ["wsgi-shop"])
    assert all(item["user"] == "nginx" and item["groups"] == ["wsgi-shop"] for item in at_once)
    assert all(item.user == "nginx" and item.groups == ["wsgi-shop"] for item in later)
    assert all(item["kind"] == "served" for item in at_once)
    return (
        [(item["variable"], item["path"], item["file"]) for item in at_once],
        [(item.variable, item.path, item.release) for item in later],
    )


def test_each_kind_of_folder_is_asked_where_it_is():
    here = "publish_sites[0].locations"
    sites = site(
        location("/", "shop"),
        location("/s/", "shop", "static"),
        location("/o/", "own", "static/"),
        location("= /robots.txt", None, "/srv/robots.txt"),
        location("/m/", None, "/srv/wsgi/shop/current/media"),
        location("/a/", alias="'/srv/a/'", root="/srv/$host"),
        root="/srv/www",
        **{"location /x/": {"root": "/srv/x"}},
    )
    assert asked(sites) == (
        [
            ("publish_sites[0].options.root", "/srv/www", False),
            ("publish_sites[0].options.location /x/.root", "/srv/x", False),
            (f"{here}[2].static", "/home/o/static", False),
            (f"{here}[3].static", "/srv/robots.txt", True),
            (f"{here}[5].options.alias", "/srv/a", False),
        ],
        [
            (f"{here}[1].static", "/srv/wsgi/shop/current/static", "static"),
            (f"{here}[4].static", "/srv/wsgi/shop/current/media", "media"),
        ],
    )


def refused(nginx, *paths):
    problems = Problems()
    served_plan.check(site(*(location("/", None, path) for path in paths)), {**NGINX, **nginx}, problems)
    return [problem.path for problem in problems]


def test_what_the_unit_hides_is_refused():
    paths = ["/tmp/a", "/var/tmp/../tmp/b", "/tmpfiles", "/srv/tmp"]
    assert refused({}, *paths) == [f"publish_sites[0].locations[{index}].static" for index in (0, 1)]
    assert refused({"nginx_unit_options": {"PrivateTmp": "no"}}, *paths) == []
    assert refused({"nginx_hardening": False}, *paths) == []
