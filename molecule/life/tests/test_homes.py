"""Earlier homes of uWSGI: what runs, what is named and what somebody else made stay, the others go, once."""

import pytest
from one_host import play, sh

ROOT = "/opt/uwsgi"


@pytest.fixture
def homes():
    """Three earlier homes of the role's and one of somebody's, besides what the host has."""
    current = sh(f"readlink {ROOT}/current").strip()
    suffix = current.partition("-")[2]
    names = [f"2.0.{number}-{suffix}" for number in (20, 21, 22, 23)]
    for name in names:
        sh(f"cp -a {ROOT}/{current} {ROOT}/{name}")
    for age, name in enumerate(names):
        sh(f"touch -d '{9 - age} days ago' {ROOT}/{name}/graceful-wsgi.json")
    sh(f"rm {ROOT}/{names[3]}/graceful-wsgi.json")
    yield current, names
    sh("systemctl stop old-uwsgi; rm -f /etc/old-uwsgi.conf")
    sh(" ; ".join(f"rm -rf {ROOT}/{name}" for name in names))


def there(names):
    found = sh(f"ls {ROOT}").split()
    return [name for name in names if name in found]


def run(*words):
    status, said = play([], [], ["--tags=uwsgi", *words], publish_set="homes")
    assert status == 0, said
    return said


def test_what_nothing_uses_goes_and_the_second_run_changes_nothing(homes):
    current, names = homes
    oldest, middle, newest, foreign = names
    # The oldest runs, of which one more than that in use is kept.
    sh(
        f"systemd-run --unit old-uwsgi {ROOT}/{oldest}/bin/uwsgi --socket 127.0.0.1:3999 --master --die-on-term; "
        f"echo binary = {ROOT}/{middle}/bin/uwsgi > /etc/old-uwsgi.conf"
    )
    said = run("--check", "--diff")
    assert f"{ROOT}/{newest}" in said and there(names) == names, said
    said = run()
    assert there(names) == [oldest, middle, foreign], said
    assert sh(f"readlink {ROOT}/current").strip() == current
    said = run()
    assert "changed=0" in said, said
    assert there(names) == [oldest, middle, foreign]
    sh("systemctl stop old-uwsgi; rm /etc/old-uwsgi.conf")
    said = run()
    # The newer of the two that nothing uses now is kept.
    assert there(names) == [middle, foreign], said
