"""uWSGI as the role installed it."""

import pytest

testinfra_hosts = ["ansible://published"]


@pytest.fixture
def home(host):
    return host.check_output("readlink -f /opt/uwsgi/current")


def test_it_is_versioned(home, host):
    python = host.check_output(f"{home}/bin/python -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'")
    assert home == f"/opt/uwsgi/2.0.31-python{python}"
    assert host.check_output(f"{home}/bin/uwsgi --version") == "2.0.31"


@pytest.mark.parametrize("flag", ["-DUWSGI_SSL", "-DUWSGI_PCRE2", "-DUWSGI_ROUTING", "-DUWSGI_JSON", "-DUWSGI_XML"])
def test_it_has_what_it_should(home, host, flag):
    assert flag in host.check_output(f"{home}/bin/uwsgi --cflags").split()


def test_it_lists_its_options(home, host):
    """The plan relies on it: a misspelt option is refused before anything is written."""
    options = host.check_output(f"{home}/bin/uwsgi --dump-options").split()
    assert {"processes", "harakiri", "lazy-apps", "gevent", "http-websockets", "set-placeholder"} <= set(options)
