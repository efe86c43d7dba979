"""Where nginx stays somebody else's, as adopt has it, applications are published and no file of nginx's."""

import json

import playbook
import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.graceful.wsgi.plugins.action import adopt

GROUPS = {
    "publish_apps": {"shop": {"source": "apps/shop"}},
    "publish_apps_chat": [{"name": "chat", "source": "apps/chat"}],
    "publish_app_defaults": {"module": "manage", "socket": "127.0.0.1:5051"},
    "publish_sites_chat": {"chat.test": {"locations": [{"app": "chat"}]}},
    "publish_sites_odd": "{{ nowhere }}",
    "publish_upstreams_chat": [{"name": "far", "servers": ["10.0.0.1:80"]}],
}


def planned(folder, apps, **more):
    """Status and words of a play that plans what adopt publishes."""
    told = "{{ planned.plan.site_bundle.files | length }} files, {{ planned.plan.instances | map(attribute='name') }}"
    tasks = [
        {"graceful.wsgi.plan": {"role": "publish"}, "register": "planned"},
        {"ansible.builtin.debug": {"msg": told + ", ports {{ planned.plan.instances | map(attribute='port') }}"}},
    ]
    variables = {**GROUPS, "publish_apps": apps, "__publish_foreign_nginx": True, **more}
    file = folder / "play.yml"
    file.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "vars": variables, "tasks": tasks}]))
    return playbook.play(file)


@pytest.mark.parametrize(
    ("app", "instances"),
    [
        ({}, "['shop']"),
        # What they share would be a file of nginx's.
        ({"instances": 2}, "['shop-1', 'shop-2']"),
    ],
)
def test_neither_a_groups_sites_nor_what_applications_share_gets_into_anothers_nginx(tmp_path, app, instances):
    apps = [{"name": "shop", "source": "apps/shop", **app}]
    status, said = planned(tmp_path, apps, publish_sites=[], publish_upstreams=[])
    assert status == 0, said
    assert f"0 files, {instances}, ports [None" in said


def wanted(state="beside", **variables):
    action = adopt.ActionModule.__new__(adopt.ActionModule)
    action._templar = Templar(DataLoader(), variables=variables)
    return action._wanted({"paths": [], "state": state}, variables)


def test_adopt_publishes_what_all_groups_have_joined():
    shop = {"name": "shop", "source": "apps/shop", **GROUPS["publish_app_defaults"]}
    assert wanted(**GROUPS) == [shop, {**shop, "name": "chat", "source": "apps/chat"}]
    assert wanted() == []


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"publish_apps": ["shop"]}, "publish_apps[0]: is no application with a name; write its settings"),
        ({"publish_apps_x": {"shop": {"name": "chat"}}}, "publish_apps_x.shop.name: is another one than the key"),
        ({"publish_apps": {"shop": {"instances": "2"}}}, "publish_apps.shop.instances: what names a socket"),
    ],
)
def test_what_cannot_be_moved_is_refused_before_anything_changes_and_bars_no_way_back(variables, said):
    with pytest.raises(AnsibleActionFail) as caught:
        wanted(**variables)
    assert said in str(caught.value) and "nothing was changed" in str(caught.value)
    assert wanted("back", **variables) == []
