"""Wheels that the controller has sent: checked, and put before the account that fills a virtualenv (Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import hashlib
import io
import os
import shutil
import tarfile

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils.brought_wheels import Brought, WheelError

FILES = {"tools/3.11/pip-25.3-py3-none-any.whl": b"pip", "wheels/flask.whl": b"flask", "wheels/other.whl": b"other"}


class Builder(object):
    """An account that builds, which is this one."""

    who = {"uid": os.getuid(), "gid": os.getgid(), "groups": []}

    def __init__(self, home):
        self.home = str(home)

    def own(self, path):
        os.mkdir(path, 0o700)


@pytest.fixture
def builder(tmpdir):
    return Builder(tmpdir.mkdir("home"))


@pytest.fixture
def sent(tmpdir):
    """What the action plugin sends; ``sent(name=bytes)`` has other content arrive, ``None`` nothing."""

    def send(**changed):
        path = str(tmpdir.join("wheels.tar"))
        with tarfile.open(path, "w") as archive:
            for name, content in FILES.items():
                content = changed.get(os.path.basename(name).partition(".")[0].partition("-")[0], content)
                if content is not None:
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
        sums = dict((name, hashlib.sha256(content).hexdigest()) for name, content in FILES.items())
        apps = {"shop": sorted(name for name in FILES if "other" not in name)}
        return Brought({"archive": path, "apps": apps, "files": sums})

    return send


def test_an_application_gets_its_wheels_and_no_others(builder, sent):
    folder = sent().unpack(builder, "shop")
    assert folder == os.path.join(builder.home, "wheels")
    assert sorted(os.listdir(folder)) == ["flask.whl", "pip-25.3-py3-none-any.whl"]
    with open(os.path.join(folder, "flask.whl"), "rb") as source:
        assert source.read() == b"flask"


def test_nothing_is_put_before_an_application_without_wheels(builder, sent):
    assert sent().unpack(builder, "plain") is None
    assert Brought({}).unpack(builder, "shop") is None
    assert os.listdir(builder.home) == []


def test_what_arrives_damaged_or_not_at_all_is_refused(builder, sent):
    with pytest.raises(WheelError, match="wheels/flask.whl arrived with the sha256 .* and should have .*; run"):
        sent(flask=b"flasK").unpack(builder, "shop")
    shutil.rmtree(os.path.join(builder.home, "wheels"))
    with pytest.raises(WheelError, match="wheels/flask.whl did not arrive"):
        sent(flask=None).unpack(builder, "shop")


def test_a_virtualenv_without_pip_runs_the_wheel_of_it(builder, sent):
    brought = sent()
    folder = brought.unpack(builder, "shop")
    pip = os.path.join(folder, "pip-25.3-py3-none-any.whl", "pip")
    assert brought.first_pip("/venv/bin/python", folder, "pip") == ["/venv/bin/python", pip, "install", "pip"]
    with open(os.path.join(folder, "setuptools-80-py3-none-any.whl"), "w"):
        pass
    assert brought.first_pip("/venv/bin/python", folder, "pip<25")[-2:] == ["pip<25", "setuptools"]
    os.remove(os.path.dirname(pip))
    with pytest.raises(WheelError, match="this Python makes no pip, and none was brought"):
        brought.first_pip("/venv/bin/python", folder, "pip")
