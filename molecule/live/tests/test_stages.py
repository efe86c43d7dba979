"""Tasks of a user's own between the stages of a deploy: what they find, and what a failure of one leaves."""

import json

import pytest
from one_host import get, play, sh, site

CODE = """\
RELEASE = {release!r}
def app(environ, start):
    start("200 OK", [])
    return [RELEASE.encode()]
"""
# A migration, say: the new code, as its account, with its environment, while visitors get the old one.
SEE = """\
- name: Run the new code as its account
  ansible.builtin.command:
    argv:
      - systemd-run
      - --pipe
      - --wait
      - --collect
      - --property=User={{ release.user }}
      - --property=WorkingDirectory={{ release.path }}
      - --property=EnvironmentFile={{ release.env_file }}
      - python3
      - -B
      - -c
      - import os, pwd, manage; print(os.environ["TOKEN"], manage.RELEASE, pwd.getpwuid(os.getuid()).pw_name)
  loop: "{{ publish_releases }}"
  loop_control:
    loop_var: release
    label: "{{ release.name }}"
  register: ran
  changed_when: true

- name: Ask for a page
  ansible.builtin.uri:
    url: http://127.0.0.1/
    headers: {Host: stages.test}
    return_content: true
    status_code: [-1, 200]
  register: page

- name: Note what was seen
  ansible.builtin.copy:
    content: "{{ noted | to_json }}"
    dest: /var/tmp/stages-{{ publish_point }}
    mode: '0600'
  vars:
    noted:
      ran: "{{ ran.results | map(attribute='stdout') }}"
      page: "{{ page.content | d('') }}"
      told: "{{ publish_releases }}"
"""
FAIL = """\
- name: Find it wanting
  ansible.builtin.fail:
    msg: not as it was agreed
"""


@pytest.fixture(scope="module")
def publish(tmp_path_factory):
    """Publishes a release with these hooks; status, words and what was noted at each point."""
    folder = tmp_path_factory.mktemp("stages")
    (folder / "code").mkdir()
    for name, text in (("see", SEE), ("fail", FAIL)):
        (folder / f"{name}.yml").write_text(text)
    app = {"name": "stages", "source": str(folder / "code"), "module": "manage", "env": {"TOKEN": "one hook"}}

    def run(release, **hooks):
        (folder / "code/manage.py").write_text(CODE.format(release=release))
        sh("rm -f /var/tmp/stages-*")
        files = {f"publish_{point}": [f"{folder}/{name}.yml" for name in names] for point, names in hooks.items()}
        status, said = play([app], [site("stages.test", "stages")], **files)
        points = sh("ls /var/tmp | grep ^stages- || true").split()
        return status, said, {name[7:]: json.loads(sh(f"cat /var/tmp/{name}")) for name in points}

    return run


def current():
    return sh("readlink /srv/wsgi/stages/current").strip().rpartition("/")[2]


def test_tasks_around_the_switch_find_the_new_release_and_visitors_the_old_one(publish):
    assert publish("one")[0] == 0
    one = current()
    hooks = {"before_switch": ["see"], "after_reload": ["see"]}
    status, said, seen = publish("two", **hooks)
    assert status == 0, said
    assert set(seen) == {"before_switch", "after_reload"}
    for told in seen.values():
        assert told["ran"] == ["one hook two wsgi-stages"]
        [release] = told["told"]
        assert release["path"] == f"/srv/wsgi/stages/releases/{current()}" and release["previous"] == one
    assert [seen[point]["page"] for point in ("before_switch", "after_reload")] == ["one", "two"]
    # There is nothing to be done.
    status, said, seen = publish("two", **hooks)
    assert status == 0 and seen == {} and "changed=0" in said, said


@pytest.mark.parametrize("point", ["after_build", "after_prepare", "after_switch", "after_reload"])
def test_a_failure_leaves_what_was_live(publish, point):
    before, units = current(), "sha256sum /etc/uwsgi/stages.* /etc/nginx/conf.d/*"
    files = sh(units)
    status, said, _seen = publish("three", **{point: ["fail"]})
    assert status == 2 and f"publish_{point}: the task Find it wanting failed" in said, said
    assert current() == before and sh(units) == files
    assert get("stages.test") == (200, "two")
    if point != "after_build":
        assert "Live again as it was: stages" in said, said


def test_what_failed_is_new_to_the_next_run(publish):
    status, said, seen = publish("three", after_build=["see"])
    # Its environment is that of the live one, which is the same.
    assert status == 0 and seen["after_build"]["ran"] == ["one hook three wsgi-stages"], said
    assert get("stages.test") == (200, "three")
