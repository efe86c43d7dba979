"""Files that mean no good end in a message, and each dialect of uWSGI's is read as uWSGI reads it."""

import importing
import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import (
    doctor,
    import_inventory,
    import_nginx,
    import_report,
    import_uwsgi,
)

NGINX = "/etc/nginx"
CONF = f"{NGINX}/nginx.conf"
DEEP = "a {" * 5000
HOSTILE = {
    "includes itself": {CONF: f"http {{ include {CONF}; }}"},
    "two in each other": {CONF: "http { include a; }", f"{NGINX}/a": "include b;", f"{NGINX}/b": "include a;"},
    "deep": {CONF: f"http {{ {DEEP}"},
    "open quote": {CONF: 'http { server { server_name "x; } }'},
    "open brace": {CONF: "http { server {"},
    "closing brace": {CONF: "http { } } server { listen 80; }"},
    "backslash at the end": {CONF: "http { server_name \\"},
    "zero bytes": {CONF: "http { a b\0c; }"},
    "a list of nothing": {CONF: "http { server { listen; server_name; location { } location ~ { } return; } } map"},
    "odd directives": {CONF: "http { server { proxy_pass; location / { uwsgi_pass; add_header; rewrite; } } }"},
    "many blocks": {
        CONF: "http { " + "include x*;" * 50 + " }",
        **{f"{NGINX}/x{number}": "include x*;" for number in range(30)},
    },
    "long": {CONF: "http { server { " + "".join(f"set $a{number} 1;" for number in range(9000)) + "} }"},
    "longer": {CONF: "http { server { " + "a b;" * 200000 + "} }"},
    "ini that includes itself": {"/a.ini": "[uwsgi]\nini = /a.ini\nmodule = x\n"},
    "ini by turns": {"/a.ini": "[uwsgi]\nini = /b.ini\n", "/b.ini": "[uwsgi]\nini = /a.ini\n"},
    "a variable in itself": {"/a.ini": "[uwsgi]\nx = %(x)%(x)%(x)\nmodule = %(x)\n"},
    "variables that grow": {
        "/a.ini": "[uwsgi]\n" + "".join(f"v{i} = %(v{i - 1})%(v{i - 1})%(v{i - 1})%(v{i - 1})\n" for i in range(1, 40))
    },
    "deep json": {"/a.json": '{"uwsgi": ' + "[" * 100000},
    "xml with entities": {"/a.xml": '<!DOCTYPE x [<!ENTITY a "aaaa">]><uwsgi><module>&a;</module></uwsgi>'},
    "no xml": {"/a.xml": "<uwsgi ><module>"},
    "no json": {"/a.json": '{"uwsgi": {'},
    "a unit with an open quote": {"/etc/systemd/system/a.service": '[Service]\nExecStart=/usr/bin/uwsgi --ini "x\n'},
    "a slow regex": {CONF: "http { server { location /a/ { alias /b/; } location ~ (a+)+$ { root /c; } } }"},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_end_in_a_message_or_nothing(name):
    result = import_inventory.run(HOSTILE[name], importing.planner)
    assert import_report.markdown(result) and import_report.inventory(result, "old")
    stack = doctor.Stack({"files": HOSTILE[name]})
    assert doctor.told(doctor.examine(stack), [*stack.nginx_messages, *stack.messages])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("includes itself", "includes itself"),
        ("deep", "deep in one another"),
        ("open quote", "expecting"),
        ("zero bytes", "holds zero bytes"),
        ("ini that includes itself", "includes itself"),
        ("deep json", "left out"),
        ("xml with entities", "declares entities"),
    ],
)
def test_a_message_says_which_file_and_why(name, said):
    messages = import_inventory.run(HOSTILE[name], importing.planner).messages
    assert any(said in text and text.startswith("/") for text in messages), messages


DIALECTS = {
    "/srv/app.ini": "[no]\nmodule = no\n[uwsgi]\nbase = /srv\nchdir = %(base)/%n\nmodule = x\nenv = A=1\nenv = B=2\n",
    "/srv/app.yaml": "uwsgi:\n  base: /srv\n  chdir: /srv/app # here\n  module: x\n  env:\n    - A=1\n    - B=2\n",
    "/srv/app.json": '{"uwsgi": {"chdir": "/srv/app", "module": "x", "env": ["A=1", "B=2"]}}',
    "/srv/app.xml": "<uwsgi><chdir>/srv/app</chdir><module>x</module><env>A=1</env><env>B=2</env></uwsgi>",
}


@pytest.mark.parametrize("path", DIALECTS)
def test_every_dialect_says_the_same(path):
    [source], messages = import_uwsgi.applications({path: DIALECTS[path]})
    assert messages == []
    assert source.last("chdir") == "/srv/app" and source.last("module") == "x"
    assert [option.value for option in source.options if option.name == "env"] == ["A=1", "B=2"]
    assert all(option.line for option in source.options)


def test_a_command_line_is_read_as_options():
    words = ["-s", ":3031", "-w", "app:app", "--master", "-p", "4", "--ini", "x.ini:prod", "-d", "/log"]
    found = import_uwsgi.command_options(words, "p")
    assert [(one.name, one.value) for one in found] == [
        ("socket", ":3031"),
        ("module", "app:app"),
        ("master", "true"),
        ("processes", "4"),
        ("ini", "x.ini:prod"),
        ("daemonize", "/log"),
    ]


def test_a_template_of_units_starts_what_its_files_say():
    files = {
        "/etc/systemd/system/app@.service": "[Service]\nUser=u\nExecStart=/usr/bin/uwsgi --ini /etc/apps/%i.ini\n",
        "/etc/apps/one.ini": "[uwsgi]\nmodule = one\n",
        "/etc/apps/two.ini": "[uwsgi]\nmodule = two\n",
    }
    sources, messages = import_uwsgi.applications(files)
    assert messages == [] and {source.file: source.starters[0].user for source in sources} == {
        "/etc/apps/one.ini": "u",
        "/etc/apps/two.ini": "u",
    }


def test_a_section_that_a_command_names_is_the_one_that_is_read():
    text = "[uwsgi]\nini = :base\nmodule = a\n[base]\nprocesses = 3\n"
    [source], messages = import_uwsgi.applications({"/a.ini": text})
    assert messages == [] and source.last("processes") == "3" and source.last("module") == "a"


def test_secrets_stand_in_no_table():
    files = {"/srv/a/a.ini": "[uwsgi]\nmodule = a\nenv = TOKEN=hunter2\n"}
    unit = "[Service]\nUser=a\nEnvironment=KEY=hunter3\nExecStart=uwsgi /srv/a/a.ini\n"
    files["/etc/systemd/system/a.service"] = unit
    result = import_inventory.run(files, importing.planner)
    assert "hunter" not in import_report.markdown(result)
    assert result.variables["publish_apps"][0]["env"] == {"TOKEN": "hunter2", "KEY": "hunter3"}


def test_an_include_that_no_file_matches_is_told_and_no_question():
    conf = "include /etc/nginx/modules-enabled/*.conf; http { include sites-enabled/*; server { include no[t]hing; } }"
    result = import_inventory.run({CONF: conf}, importing.planner)
    assert not [row for row in result.rows if row.text.startswith("include")]
    assert sum("no file that was read is one of" in one for one in result.messages) == 3
    missing = import_inventory.run({CONF: "http { include sites.conf; }"}, importing.planner)
    assert [row for row in missing.rows if row.text.startswith("include")]


def test_braces_of_templates_are_no_templates():
    files = {CONF: 'http { server { listen 80; location / { return 200 "{{ x }}"; } } }'}
    assert "!unsafe" in import_report.inventory(import_inventory.run(files, importing.planner), "old")


def test_words_are_quoted_where_nginx_wants_it():
    texts = ("a b;", 'a "b c";', "a 'x;y';", 'a "";', r"a \.php$;", 'a "x{1,2}";', "a ${b}c;")
    for text in (*texts, "if ($a = 'b') { c d; }"):
        [node] = import_nginx.parse(text, "f", [])
        end = ";" if node.children is None else "{c d;}"
        [again] = import_nginx.parse(f"{node.name} {node.text()}{end}", "f", [])
        assert again.key() == node.key(), text
