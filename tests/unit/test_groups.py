"""What the groups and the host of an inventory publish adds up, by Ansible's own precedence, templates and vault."""

import json
import subprocess
import sys

import playbook
import pytest

SECRET = "canary-71b2"
GROUPS = """
all:
  children:
    shops:
      hosts:
        one:
    sockets:
      hosts:
        one:
"""
TASKS = [
    {"graceful.wsgi.plan": {"role": "publish"}, "register": "planned"},
    {
        "ansible.builtin.debug": {
            "msg": "apps {{ planned.plan.instances_by_app | list | join(',') }};"
            " sites {{ planned.plan.published.main.publish_sites | join(',') }};"
            " told {{ planned.plan.app_variables | join(',') }};"
            " variables {{ planned.plan.preflights | map(attribute='environment') | map('list') | map('join', '+')"
            " | join(',') }}; length {{ planned.plan.preflights[-1].environment.TOKEN | default('') | length }}"
        }
    },
]


@pytest.fixture
def inventory(tmp_path):
    """run(variables of the play, words) on a host of two groups, each of which publishes something."""
    folder = tmp_path / "inventory"
    (folder / "group_vars").mkdir(parents=True)
    (tmp_path / "password").write_text("secret")
    (folder / "hosts.yml").write_text(GROUPS)

    def write(group, text):
        (folder / "group_vars" / f"{group}.yml").write_text(text)

    def run(*words, **variables):
        file = tmp_path / "play.yml"
        file.write_text(json.dumps([{"hosts": "one", "gather_facts": False, "vars": variables, "tasks": TASKS}]))
        words = [f"--inventory={folder}", f"--vault-password-file={tmp_path / 'password'}", *words]
        return playbook.play(file, *words)

    run.write, run.folder, run.password = write, folder, tmp_path / "password"
    write("all", "publish_app_defaults: {module: manage, env: {MODE: live}}\npublish_apps: [{name: base, source: b}]\n")
    write(
        "shops",
        "shop: {source: '{{ code }}/shop', callable: '{{ entry }}', env: {TOKEN: '{{ token }}'}}\n"
        "publish_apps_shops: {shop: '{{ shop }}'}\n"
        "publish_sites_shops: {shop.test: {locations: [{path: /, app: shop}]}}\n"
        "code: /code\nentry: app\n",
    )
    write(
        "sockets",
        "publish_apps_chat: [{name: chat, source: c, env: null}]\n"
        "publish_sites_chat: '{{ chat_sites }}'\n"
        "chat_sites: [{server_name: [chat.test], locations: [{path: /, app: chat}]}]\n",
    )
    return run


def vaulted(run, text):
    """An encrypted value, as a variable file holds it."""
    command = [sys.executable, "-m", "ansible", "vault", "encrypt_string", f"--vault-password-file={run.password}"]
    ran = subprocess.run([*command, "--stdin-name=token"], input=text, capture_output=True, text=True, check=True)
    return ran.stdout


def test_groups_that_add_up_with_vault_and_templates(inventory):
    inventory.write("one", "")
    (inventory.folder / "host_vars").mkdir()
    (inventory.folder / "host_vars" / "one.yml").write_text(vaulted(inventory, SECRET))
    status, said = inventory("-vv")
    assert status == 0, said
    assert "apps base,chat,shop; sites chat.test,shop.test;" in said
    assert "told publish_apps[0],publish_apps_chat[0],publish_apps_shops.shop;" in said
    assert f"variables MODE,,MODE+TOKEN; length {len(SECRET)}" in said and SECRET not in said


def test_a_whole_variable_may_be_encrypted(inventory):
    apps = json.dumps([{"name": "shop", "source": "s"}])
    inventory.write("shops", vaulted(inventory, apps).replace("token:", "publish_apps_shops:", 1))
    status, said = inventory()
    assert status == 0 and "apps base,chat,shop; sites chat.test;" in said, said


def test_a_variable_comes_as_text_and_wins_as_every_other_does(inventory):
    words = [
        """--extra-vars=publish_apps_shops='[{"name":"blog","source":"b"}]' publish_sites_shops=''""",
        """--extra-vars=publish_app_defaults='{"module":"run"}'""",
    ]
    status, said = inventory(*words)
    assert status == 0, said
    assert "apps base,chat,blog; sites chat.test;" in said
    assert "told publish_apps[0],publish_apps_chat[0],publish_apps_shops[0];" in said


def test_what_is_wrong_is_told_by_the_groups_variable_and_shows_no_value(inventory):
    inventory.write("shops", f"publish_apps_shops: {{shop: {{source: x, env: {{A-B: {SECRET}}}, threads: 0}}}}\n")
    inventory.write("sockets", "publish_apps_chat: [{name: shop, source: x}]\n")
    status, said = inventory("-vvv")
    assert status == 2, said
    assert "publish_apps_shops.shop.name: 'shop' is the name of publish_apps_chat[0] too; rename one of them" in said
    assert "publish_apps_shops.shop.env: 'A-B' is no name of a variable" in said
    assert "publish_apps_shops.shop.threads: 0 is too few" in said
    assert SECRET not in said


def test_a_misspelt_one_is_told(inventory):
    inventory.write("shops", "publish_app_shops: [{name: shop, source: x}]\n")
    status, said = inventory()
    assert status == 0, said
    assert "publish_app_shops: no variable of the role publish has this name, and nothing of it is published" in said
    assert "did you mean publish_apps_shops?" in said


def test_a_variable_that_cannot_be_templated_is_an_error_of_ansibles_own(inventory):
    inventory.write("shops", "publish_apps_shops: '{{ nothing_of_this_name }}'\n")
    status, said = inventory()
    assert status == 2 and "nothing_of_this_name" in said, said


def test_a_warning_names_the_groups_variable(inventory):
    settings = "websocket: true, socket: '127.0.0.1:5051'"
    inventory.write(
        "shops", f"publish_apps_shops: {{shop: {{source: x, requirements: [gevent, gevent-websocket], {settings}}}}}\n"
    )
    status, said = inventory()
    assert status == 0 and "publish_apps_shops.shop.socket: shop has WebSockets on a port" in said, said
