"""What is written of maintenance, on or off, and what is refused."""

import pytest
from plans import SPECS, plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import maintenance_plan, publish_plan, spec
from ansible_collections.graceful.wsgi.plugins.plugin_utils.maintenance_plan import Page


def attempt(down=None, pages=None, site=None, **values):
    app = {"name": "shop", "source": "apps/shop", "module": "manage"}
    if down is not None:
        app["maintenance"] = down
    site = {"server_name": ["a.test"], "locations": [{"path": "/", "app": "shop"}], **(site or {})}
    problems = []
    given = spec.check({"publish_apps": [app], "publish_sites": [site], **values}, SPECS["publish"], problems)
    assert not problems, list(map(str, problems))
    roles = {role: spec.check({}, SPECS[role], []) for role in ("nginx", "uwsgi")}
    return plain(publish_plan.plan(given, {"pages": pages or {}}, roles))


def planned(*words, **more):
    plan, problems = attempt(*words, **more)
    assert not problems, list(map(str, problems))
    return plan


def refusals(*words, **more):
    return [str(problem) for problem in attempt(*words, **more)[1]]


def blocks(plan, name):
    """The lines of a name in the file of the one site, around its server block and in it."""
    site = next(file for file in plan["site_bundle"]["files"] if file["dest"].endswith("a.test.conf"))["vars"]["site"]
    lines = site["http"] + site["server"][2]
    return [line for line in lines if line[0] == name]


def test_a_location_that_leads_to_an_application_looks_for_its_flag_first():
    first, last = blocks(planned(), "location")
    leaves = ["rewrite", "^ /.graceful-maintenance/shop/page last", None]
    assert first[2][0] == ["if", "(-f $publish_site_a_test_52dc_shop_down)", [leaves]]
    assert last[1] == "= /.graceful-maintenance/shop/page" and ["internal", "", None] in last[2]
    assert ["add_header", "Retry-After 600 always", None] in last[2]
    assert last[2][-1] == ["return", "503 $publish_site_a_test_52dc_shop_down_page", None]


def test_who_is_denied_is_denied_before_and_the_way_without_a_slash_is_kept_from_as_well():
    locations = [{"path": "/shop/", "app": "shop", "deny": ["10.0.0.0/8"]}]
    found = blocks(planned(site={"locations": locations}), "location")
    for line in found[:2]:
        assert [one[1] for one in line[2] if one[0] == "if"][:2] == [
            "($publish_location_0_a_test_52dc_denied)",
            "(-f $publish_site_a_test_52dc_shop_down)",
        ]


def test_folders_and_other_programs_are_not_kept_from():
    locations = [
        {"path": "/static/", "app": "shop", "static": "static"},
        {"path": "/x/", "proxy_pass": "http://127.0.0.1:1"},
    ]
    plan = planned(site={"locations": locations})
    assert "down" not in str(plan["site_bundle"])


def test_the_headers_of_the_site_stay_on_the_page():
    site = {"headers": {"X-Mine": "1"}, "options": {"add_header": ["X-Said 2 always"]}}
    lines = [line[1] for line in blocks(planned(site=site), "location")[-1][2] if line[0] == "add_header"]
    for start in ("X-Frame-Options ", 'X-Mine "1" always', "X-Said 2 always", "Retry-After 600"):
        assert [line for line in lines if line.startswith(start)], (start, lines)


def test_listed_addresses_get_a_path_that_is_no_file():
    geo = blocks(planned({"allow": ["10.1.2.3/8", "::1"], "retry_after": 0}), "geo")[0]
    assert geo[2] == [["default", "/etc/nginx/maintenance/shop", None], ["10.0.0.0/8", "/", None], ["::1", "/", None]]
    plan = planned({"allow": ["10.1.2.3/8"], "retry_after": 0})
    assert "Retry-After" not in str(plan["site_bundle"])


def test_a_long_page_comes_in_pieces_none_of_them_larger_than_nginx_reads():
    text = "é\"\\$x\n" * 5000
    plan = planned({"page": "down.txt"}, {"shop": Page(text)})
    pieces = [line for line in blocks(plan, "geo") if "_page_" in line[1]]
    said = [line[2][0][1][1:-1].replace('\\"', '"').replace("\\\\", "\\") for line in pieces]
    assert "".join(said) == text and len(pieces) > 1
    assert max(len(line[2][0][1].encode()) for line in pieces) < 4096
    joined = next(line for line in blocks(plan, "map") if line[1].endswith("_page"))
    assert len(joined[2][0][1]) < 4096 and joined[2][0][1].count("${") == len(pieces)
    assert ["default_type", "text/plain", None] in blocks(plan, "location")[-1][2]


def test_the_largest_page_fits_into_one_word_of_variables():
    page = Page("x" * maintenance_plan.MOST)
    plan = planned({"page": "down.html"}, {"shop": page}, publish_set="a-set-with-a-long-name")
    joined = [line for line in blocks(plan, "map") if line[1].endswith("_page")]
    assert joined and max(len(str(line[2][0][1])) for line in joined) < 4096


def test_each_site_stands_by_itself():
    """One that the set names no more and does not prune keeps what its server block looks for."""
    plan = planned()
    shared = [file for file in plan["site_bundle"]["files"] if file["dest"].endswith("publish-main.conf")]
    assert "_down" not in str(shared) and len(blocks(plan, "geo")) == 2


@pytest.mark.parametrize(
    ("down", "pages", "message"),
    [
        ({"page": "down.html"}, {}, "maintenance.page: 'down.html' is not there, or cannot be read"),
        ({"page": "down.html"}, {"shop": Page(wrong="is not UTF-8")}, "'down.html' is not UTF-8"),
        ({"page": "down.php"}, {"shop": Page("x")}, "'down.php' is a page of no kind"),
        ({"page": "down.html"}, {"shop": Page("x" * 100000)}, "has more than"),
        ({"page": "down.html"}, {"shop": Page("\0")}, "is no text"),
        ({"retry_after": -1}, {}, "maintenance.retry_after: -1 is too few"),
        ({"allow": ["10.0.0.0/8", "home"]}, {}, "maintenance.allow[1]: 'home' is no address"),
    ],
)
def test_what_cannot_be_sent_is_refused(down, pages, message):
    assert [line for line in refusals(down, pages) if f"publish_apps[0].{message}" in line or message in line]


@pytest.mark.parametrize(
    ("app", "state", "messages"),
    [
        # It may be another host's.
        ("shp", "on", []),
        ("shop", "maybe", ["state: 'maybe' is not known; write on or off, as in -e app=shop -e state=on"]),
        (
            "",
            "-",
            [
                "app: is missing; write one of shop",
                "state: is missing; write on or off, as in -e app=shop -e state=on",
            ],
        ),
    ],
)
def test_a_switch_that_cannot_be_is_refused(app, state, messages):
    assert refusals(publish_maintenance_app=app, publish_maintenance_state=state) == messages


def test_a_switch_says_what_is_asked_and_from_where_the_host_itself_passes():
    site = {"listen": ["80"], "options": {"open_file_cache": "max=10"}}
    said = {"publish_maintenance_app": "shop", "publish_maintenance_state": "True"}
    [switch] = planned({"allow": ["127.0.0.0/8"]}, site=site, **said)["maintenance"]
    assert switch["enabled"] and switch["reload"] and switch["passing"] == ["127.0.0.1:80"]
    assert switch["files"] == ["/etc/nginx/conf.d/a.test.conf"] and len(switch["questions"]) == 1
    [switch] = planned(**said)["maintenance"]
    assert not switch["reload"] and switch["passing"] == []
    assert planned()["maintenance"] == []


def test_pages_are_read_where_ansible_finds_them():
    files = {"/a/down.html": "ö".encode(), "/a/latin.html": b"\xf6"}
    apps = [
        {"name": "a", "maintenance": {"page": "down.html"}},
        {"name": "b", "maintenance": {"page": "latin.html"}},
        {"name": "c", "maintenance": {"page": "gone.html"}},
        {"name": "d", "maintenance": "no mapping"},
        "none",
    ]
    found = maintenance_plan.read(apps, "/a/{}".format, files.__getitem__)
    assert found["a"] == Page("ö") and found["b"].wrong == "is not UTF-8"
    assert found["c"].wrong and set(found) == {"a", "b", "c"}
