"""What nginx_state takes for there."""

import grp
import os
import pwd
import subprocess

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import accounts, nginx_artifact, nginx_state

ME = pwd.getpwuid(os.getuid())
MINE = grp.getgrgid(ME.pw_gid).gr_name


@pytest.mark.parametrize(
    ("user", "group", "there"),
    [
        (ME.pw_name, MINE, True),
        (ME.pw_name, next(found.gr_name for found in grp.getgrall() if found.gr_gid != ME.pw_gid), False),
        (ME.pw_name, "no-such-group", False),
        ("no-such-user", MINE, False),
    ],
)
def test_accounts(user, group, there):
    assert all(accounts.there(user, group).values()) is there


def test_an_account_that_is_in_no_file_is_hidden_from_a_static_nginx(tmp_path, monkeypatch):
    (tmp_path / "passwd").write_text("root:x:0:0::/:/bin/sh\nnginx:x:9:9::/:/bin/false\n")
    (tmp_path / "group").write_text("nginx:x:9:\n")
    known = {"nginx", "ldap", "nginx-ldap"}
    for module, function in ((pwd, "getpwnam"), (grp, "getgrnam")):
        monkeypatch.setattr(module, function, lambda name: {name: name for name in known}[name])

    def hidden(user, group):
        return nginx_state.hidden(user, group, str(tmp_path))

    assert hidden("nginx", "nginx") is None
    # Not there yet: the role makes it.
    assert hidden("new", "new") is None
    assert hidden("ldap", "nginx") == "ldap"
    assert hidden("nginx", "nginx-ldap") == "nginx-ldap"


@pytest.fixture
def dest(tmp_path):
    path = tmp_path / "nginx"
    path.write_bytes(b"binary")
    return str(path)


def manifest(dest):
    return {"files": {"nginx": nginx_artifact.sha256(dest)}}


def test_installed_is_by_content(dest, tmp_path):
    none = str(tmp_path / "nginx.pid")
    wanted = manifest(dest)
    assert nginx_state.installed(wanted, dest, none) is True
    assert nginx_state.installed(None, dest, none) is False
    assert nginx_state.installed(wanted, dest + "-none", none) is False
    with open(dest, "ab") as target:
        target.write(b".")
    assert nginx_state.installed(wanted, dest, none) is False


def test_installed_needs_the_running_one_to_be_it(dest, tmp_path):
    pid_file = tmp_path / "nginx.pid"
    # A shell with a master's title runs, from another file than the one in place.
    with subprocess.Popen(
        ["nginx: master process x", "-c", "read x"], executable="/bin/sh", stdin=subprocess.PIPE
    ) as process:
        pid_file.write_text(f"{process.pid}\n")
        # Right after exec a process has no command line yet.
        assert nginx_state.nginx_master.wait(lambda: nginx_state.nginx_master.title(process.pid), 10)
        assert nginx_state.installed(manifest(dest), dest, str(pid_file)) is False
        shell = os.path.realpath("/bin/sh")
        assert nginx_state.installed(manifest(shell), shell, str(pid_file)) is True
        process.stdin.close()
    assert nginx_state.installed(manifest(dest), dest, str(pid_file)) is True
    pid_file.write_text("garbage\n")
    assert nginx_state.installed(manifest(dest), dest, str(pid_file)) is False
