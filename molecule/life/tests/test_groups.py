"""Two groups of an inventory publish to one host; what goes is said, and confirmed where that is asked for."""

import json

import pytest
from one_host import HOST, get, play, sh, site

CODE = """def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%s"]
"""
NAMES = ("groups-plain", "groups-shop", "groups-chat")


def plain(folder, name):
    """An application without requirements, so that no virtualenv has to be filled."""
    code = folder / name
    code.mkdir(exist_ok=True)
    (code / "plain.py").write_text(CODE % name)
    return {"source": str(code)}


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    """The main job with an inventory in which the host is in two groups; write(group, variables) of one of them."""
    folder = tmp_path_factory.mktemp("groups")
    inventory = folder / "inventory"
    (inventory / "group_vars").mkdir(parents=True)
    members = {group: {"hosts": {HOST: {}}} for group in ("shops", "chats")}
    (inventory / "hosts.json").write_text(json.dumps({"all": {"children": members}}))

    def write(group, variables):
        (inventory / "group_vars" / f"{group}.json").write_text(json.dumps(variables))

    def run(*words, **variables):
        plains = [{"name": "groups-plain", **plain(folder, "groups-plain")}]
        sites = [site("groups-plain.test", "groups-plain")]
        defaults = {"module": "plain", "callable": "application", "processes": 1}
        given = {"publish_set": "groups", "publish_replace": False, "publish_app_defaults": defaults, **variables}
        return play(plains, sites, [f"--inventory={inventory}", *words], **given)

    run.write = write
    run.chat = {
        "publish_apps_chats": [{"name": "groups-chat", **plain(folder, "groups-chat")}],
        "publish_sites_chats": [site("groups-chat.test", "groups-chat")],
    }
    locations = [{"path": "/", "app": "groups-shop"}]
    write(
        "shops",
        {
            "publish_apps_shops": {"groups-shop": plain(folder, "groups-shop")},
            "publish_sites_shops": {"groups-shop.test": {"locations": locations}},
        },
    )
    write("chats", run.chat)
    return run


def live(names=NAMES):
    return [name for name in names if get(f"{name}.test") == (200, name)] == list(names)


def test_what_groups_publish_adds_up_and_goes_only_when_it_is_confirmed(groups):
    status, said = groups()
    assert status == 0, said
    assert live()
    status, said = groups()
    assert status == 0 and "changed=0" in said, said

    # A name of the other group's, before anything changes.
    groups.write("chats", {**groups.chat, "publish_apps_chats": {"groups-shop": {"path": "/srv"}}})
    status, said = groups()
    assert status == 2, said
    told = "publish_apps_shops.groups-shop.name: 'groups-shop' is the name of publish_apps_chats.groups-shop too"
    assert told in " ".join(said.split()) and live(), said

    groups.write("chats", {})
    goes = "application groups-chat, site groups-chat.test"
    status, said = groups("--check")
    assert status == 0 and f"{goes}, which this play does not name: taken off" in " ".join(said.split()), said
    status, said = groups(publish_prune="confirm")
    assert status == 2 and live(), said
    assert f"publish_prune: is confirm, and {goes} of publish_set groups" in " ".join(said.split()), said
    assert "changed=0" in said and "-e publish_prune_confirmed=groups-chat,groups-chat.test" in said, said
    status, said = groups(publish_prune="confirm", publish_prune_confirmed="groups-chat")
    assert status == 2 and "and site groups-chat.test of publish_set groups" in " ".join(said.split()), said
    status, said = groups(publish_prune="confirm", publish_prune_confirmed="groups-chat,groups-chat.test")
    assert status == 0 and f"{goes}, which this play does not name: taken off" in " ".join(said.split()), said
    assert live(NAMES[:2])
    assert sh("systemctl list-units --all --plain --no-legend 'uwsgi@groups-chat*'") == ""
    assert sh("find /etc/nginx /etc/uwsgi -name 'groups-chat*'") == ""
    # It has nothing to confirm any more.
    status, said = groups(publish_prune="confirm")
    assert status == 0 and "changed=0" in said, said
    status, said = groups(playbook="playbooks/reload.yml", publish_reload="groups-shop")
    assert status == 0 and "changed=1" in said, said
    assert live(NAMES[:2])
