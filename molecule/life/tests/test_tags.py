"""Parts of the main job by tags: code without nginx and uWSGI, nginx without applications, a release beforehand."""

import pytest
from one_host import get, play, sh, site

CODE = """def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%s"]
"""


@pytest.fixture(scope="module")
def tagged(tmp_path_factory):
    """run(code, *tags, **variables) publishes an application that answers with this."""
    code = tmp_path_factory.mktemp("tags") / "code"
    code.mkdir()

    def run(text, *tags, **variables):
        (code / "plain.py").write_text(CODE % text)
        app = {"name": "tags", "source": str(code), "module": "plain", "callable": "application", "user": "tags"}
        words = [f"--tags={','.join(tags)}"] if tags else []
        return play([{**app, "processes": 1}], [site("tags.test", "tags")], words, publish_set="tags", **variables)

    status, said = run("one")
    assert status == 0 and get("tags.test") == (200, "one"), said
    return run


# The application's master and workers.
PROCESSES = "find /proc -maxdepth 1 -user tags -name '[0-9]*' | sort"


def releases():
    return len(sh("ls /srv/wsgi/tags/releases").split())


def test_publish_brings_new_code_and_leaves_nginx_and_uwsgi_alone(tagged):
    before = sh("systemctl show -p ExecMainStartTimestampMonotonic nginx")
    status, said = tagged("two", "publish")
    assert status == 0 and get("tags.test") == (200, "two"), said
    assert "graceful.wsgi.nginx :" not in said
    assert sh("systemctl show -p ExecMainStartTimestampMonotonic nginx") == before
    # The only task of the role uwsgi's is the look at what is installed.
    assert "Look up the installed uWSGI" in said and "Install uWSGI" not in said


def test_nginx_changes_nginx_and_no_application(tagged):
    before, there = sh(PROCESSES), releases()
    status, said = tagged("three", "nginx", nginx_worker_connections=1234)
    assert status == 0 and "graceful.wsgi.publish :" not in said and "graceful.wsgi.uwsgi :" not in said, said
    assert "1234" in sh("cat /etc/nginx/nginx.conf")
    assert get("tags.test") == (200, "two") and sh(PROCESSES) == before and releases() == there


def test_build_and_verify_put_a_release_beside_the_live_one(tagged):
    before, there = sh(f"{PROCESSES}; ls -l /srv/wsgi/tags/current /etc/uwsgi/tags.ini"), releases()
    status, said = tagged("four", "publish_build")
    assert status == 0 and "nothing is live" in said, said
    assert releases() == there + 1
    status, said = tagged("four", "publish_verify")
    assert status == 0 and "Preflight the new code" in said, said
    assert get("tags.test") == (200, "two")
    assert sh(f"{PROCESSES}; ls -l /srv/wsgi/tags/current /etc/uwsgi/tags.ini") == before
    status, said = tagged("four")
    assert status == 0 and get("tags.test") == (200, "four"), said
    assert releases() <= there + 1


def test_verify_fails_for_code_that_does_not_load_and_nothing_is_touched(tagged):
    live = get("tags.test")
    status, said = tagged('"\n    nonsense(', "publish_verify")
    assert status == 2 and "plain.py" in said, said
    assert get("tags.test") == live
