"""The plan of the centos7 role as a function."""

from pathlib import Path

import pytest
import yaml
from plans import plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import centos7_plan, spec

ROLE = Path(__file__).resolve().parents[4] / "roles/centos7"
OPTIONS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["variables"]["options"]
CENTOS = {"distribution": "CentOS", "version": "7", "os_family": "RedHat", "arch": "x86_64", "role": "centos7"}
DEBIAN = {"distribution": "Debian", "version": "12", "os_family": "Debian", "arch": "x86_64", "role": "centos7"}


def attempt(host=CENTOS, **variables):
    problems = []
    values = spec.check(variables, OPTIONS, problems)
    assert not problems
    return plain(centos7_plan.plan(values, dict(host)))


def planned(host=CENTOS, **variables):
    plan, problems = attempt(host, **variables)
    assert not problems, [str(problem) for problem in problems]
    return plan


def repositories(host=CENTOS, **variables):
    return {found["id"]: found for found in planned(host, **variables)["repositories"]}


@pytest.mark.parametrize(
    "variables, path, hint",
    [
        ({"centos7_repositories": ["base", "extra"]}, "centos7_repositories[1]", "did you mean extras?"),
        ({"centos7_repositories": ["base", "zzz"]}, "centos7_repositories[1]", "epel"),
        ({"centos7_repositories_enabled": ["eple"]}, "centos7_repositories_enabled[0]", "did you mean epel?"),
        ({"centos7_vault_url": "vault.centos.org"}, "centos7_vault_url", "https://"),
        ({"centos7_epel_url": "/srv/epel"}, "centos7_epel_url", "https://"),
        ({"centos7_repository_urls": {"epel": "x y"}}, "centos7_repository_urls.epel", "https://"),
        ({"centos7_repository_urls": {"epl": "http://x"}}, "centos7_repository_urls.epl", "epel"),
        ({"centos7_gpg_keys": {"base": "/etc/pki/key"}}, "centos7_gpg_keys.base", "file:///"),
        ({"centos7_proxy": "proxy:3128"}, "centos7_proxy", "http://"),
        ({"centos7_ca_bundle": "ca.pem"}, "centos7_ca_bundle", "on the host"),
        ({"centos7_timeout": 0}, "centos7_timeout", "1 or more"),
        ({"centos7_retries": 0}, "centos7_retries", "1 or more"),
        ({"centos7_python": "python3.8"}, "centos7_python", "rh-python38"),
        ({"centos7_python": "rh-ruby25"}, "centos7_python", "rh-python38"),
        ({"centos7_selinux_booleans": ["httpd can"]}, "centos7_selinux_booleans[0]", "httpd_can_network_connect"),
        ({"centos7_firewalld_services": ["http;reboot"]}, "centos7_firewalld_services[0]", "https"),
        ({"centos7_firewalld_ports": ["8080"]}, "centos7_firewalld_ports[0]", "8080/tcp"),
        ({"centos7_firewalld_ports": ["80/tcp", "70000/tcp"]}, "centos7_firewalld_ports[1]", "8080/tcp"),
        ({"centos7_firewalld_ports": ["8010-8000/tcp"]}, "centos7_firewalld_ports[0]", "8000-8010/tcp"),
        ({"centos7_firewalld_zone": "a b"}, "centos7_firewalld_zone", "public"),
    ],
)
def test_refused(variables, path, hint):
    plan, problems = attempt(**variables)
    assert plan == {}
    assert [problem.path for problem in problems] == [path]
    assert hint in problems[0].hint


@pytest.mark.parametrize("other", [DEBIAN, dict(CENTOS, version="8"), dict(CENTOS, version="6")])
def test_anything_but_el7_is_refused_by_name(other):
    plan, problems = attempt(other)
    assert plan == {} and len(problems) == 1
    assert f"{other['distribution']} {other['version']}" in problems[0].message
    assert "leave it out" in problems[0].hint


def test_its_variables_on_another_host_are_nobodys_problem_where_another_role_asks():
    assert attempt(dict(DEBIAN, role="nginx"), centos7_repositories=["zzz"]) == ({}, [])


def test_nothing_known_of_the_host_is_no_crash():
    assert planned({})["repositories"]


def test_the_archives_of_each_architecture():
    found = repositories()
    assert found["base"]["url"] == "https://vault.centos.org/7.9.2009/os/$basearch/"
    assert found["centos-sclo-rh"]["url"] == "https://vault.centos.org/7.9.2009/sclo/$basearch/rh/"
    assert found["epel"]["url"] == "https://archives.fedoraproject.org/pub/archive/epel/7/$basearch/"
    other = repositories(dict(CENTOS, arch="aarch64"))
    assert other["updates"]["url"] == "https://vault.centos.org/altarch/7.9.2009/updates/$basearch/"
    assert other["base"]["default_gpgkey"].split()[1].endswith("RPM-GPG-KEY-CentOS-7-aarch64")
    assert other["epel"] == found["epel"]


def test_what_is_said_of_urls_and_keys():
    found = repositories(
        centos7_vault_url="http://v/c7/",
        centos7_repository_urls={"extras": "http://e/"},
        centos7_gpg_keys={"base": "http://k"},
    )
    assert found["base"]["url"] == "http://v/c7/os/$basearch/"
    assert found["extras"]["url"] == "http://e/"
    assert (found["base"]["gpgkey"], found["updates"]["gpgkey"]) == ("http://k", "")
    settings = planned(centos7_proxy="http://p:1", centos7_ca_bundle="/ca.pem", centos7_timeout=9)["settings"]
    assert settings == {"timeout": "9", "retries": "10", "proxy": "http://p:1", "sslcacert": "/ca.pem"}


def test_which_are_added():
    def enabled(**variables):
        return {name for name, found in repositories(**variables).items() if found["enabled"]}

    assert enabled() == {"base", "updates", "extras"}
    assert enabled(centos7_python="rh-python38") == {"base", "updates", "extras", "centos-sclo-rh"}
    assert enabled(centos7_repositories_enabled=["epel"]) == {"epel"}
    assert enabled(centos7_repositories=["base"]) == {"base"}
    assert repositories(centos7_repositories=[]) == {}


def test_what_others_of_the_family_call_base_is_theirs():
    assert set(repositories(dict(CENTOS, distribution="OracleLinux"))) == {"epel"}


def test_packages():
    wanted = set(planned()["packages"])
    assert {"gcc", "make", "tar", "gzip", "logrotate", "openssl-devel", "pcre2-devel"} <= wanted
    assert {"python3", "python3-devel"} <= wanted
    assert set(planned(centos7_python="")["packages"]) == wanted - {"python3", "python3-devel"}
    elsewhere = dict(CENTOS, builder={"known": True})
    assert planned(elsewhere)["packages"] == ["python3"]
    assert planned(centos7_toolchain="never")["packages"] == ["python3"]
    assert "gcc" in planned(elsewhere, centos7_toolchain="always")["packages"]
    collection = planned(centos7_python="rh-python38")
    assert {"rh-python38-python", "rh-python38-python-pip", "rh-python38-python-devel"} <= set(collection["packages"])
    assert collection["scl"]["lib"] == "/opt/rh/rh-python38/root/usr/lib64"
    assert planned()["scl"] is None


def test_an_air_gapped_host_is_asked_for_nothing():
    plan = planned(centos7_repositories=[], centos7_toolchain="never", centos7_python="")
    assert (plan["repositories"], plan["packages"], plan["package_query"]) == ([], [], [])


def test_selinux_only_where_the_kernel_has_it():
    assert (planned()["selinux"], planned()["booleans"]) == (None, [])
    enabled = dict(CENTOS, selinux=True)
    assert planned(enabled)["booleans"] == ["httpd_can_network_connect"]
    assert planned(enabled, centos7_selinux=False)["selinux"] is None
    cil = planned(enabled)["selinux"]["cil"]
    assert "(allow httpd_t unconfined_service_t (unix_stream_socket (connectto)))" in cil
    # The policy's own file_contexts knows no /run.
    assert '"/run' not in cil


def test_firewalld():
    assert planned()["openings"] == ["service=http", "service=https"]
    plan = planned(centos7_firewalld_services=[], centos7_firewalld_ports=["8080/tcp", "8000-8010/udp"])
    assert plan["openings"] == ["port=8080/tcp", "port=8000-8010/udp"]
    assert planned(centos7_firewalld_zone="dmz")["zone"] == ["--zone=dmz"]
    assert planned(centos7_firewalld=False)["openings"] == []
