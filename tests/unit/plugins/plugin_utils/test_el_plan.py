"""The plan of the role el as a function."""

import re
from pathlib import Path

import pytest
import yaml
from plans import plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import el_plan, spec

ROLE = Path(__file__).resolve().parents[4] / "roles/el"
OPTIONS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["variables"]["options"]
CENTOS = {"distribution": "CentOS", "version": "7", "os_family": "RedHat", "arch": "x86_64", "role": "el"}
DEBIAN = {"distribution": "Debian", "version": "12", "os_family": "Debian", "arch": "x86_64", "role": "el"}


def attempt(host=CENTOS, **variables):
    problems = []
    values = spec.check(variables, OPTIONS, problems)
    assert not problems
    return plain(el_plan.plan(values, dict(host)))


def planned(host=CENTOS, **variables):
    plan, problems = attempt(host, **variables)
    assert not problems, [str(problem) for problem in problems]
    return plan


def repositories(host=CENTOS, **variables):
    return {found["id"]: found for found in planned(host, **variables)["repositories"]}


@pytest.mark.parametrize(
    "variables, path, hint",
    [
        ({"el_repositories": ["base", "extra"]}, "el_repositories[1]", "did you mean extras?"),
        ({"el_repositories": ["base", "zzz"]}, "el_repositories[1]", "epel"),
        ({"el_repositories_enabled": ["eple"]}, "el_repositories_enabled[0]", "did you mean epel?"),
        ({"el_vault_url": "vault.centos.org"}, "el_vault_url", "https://"),
        ({"el_epel_url": "/srv/epel"}, "el_epel_url", "https://"),
        ({"el_repository_urls": {"epel": "x y"}}, "el_repository_urls.epel", "https://"),
        ({"el_repository_urls": {"epl": "http://x"}}, "el_repository_urls.epl", "epel"),
        ({"el_gpg_keys": {"base": "/etc/pki/key"}}, "el_gpg_keys.base", "file:///"),
        ({"el_proxy": "proxy:3128"}, "el_proxy", "http://"),
        ({"el_ca_bundle": "ca.pem"}, "el_ca_bundle", "on the host"),
        ({"el_timeout": 0}, "el_timeout", "1 or more"),
        ({"el_retries": 0}, "el_retries", "1 or more"),
        ({"el_python": "python3.8"}, "el_python", "rh-python38"),
        ({"el_python": "rh-ruby25"}, "el_python", "rh-python38"),
        ({"el_selinux_booleans": ["httpd can"]}, "el_selinux_booleans[0]", "httpd_can_network_connect"),
        ({"el_firewalld_services": ["http;reboot"]}, "el_firewalld_services[0]", "https"),
        ({"el_firewalld_ports": ["8080"]}, "el_firewalld_ports[0]", "8080/tcp"),
        ({"el_firewalld_ports": ["80/tcp", "70000/tcp"]}, "el_firewalld_ports[1]", "8080/tcp"),
        ({"el_firewalld_ports": ["8010-8000/tcp"]}, "el_firewalld_ports[0]", "8000-8010/tcp"),
        ({"el_firewalld_zone": "a b"}, "el_firewalld_zone", "public"),
    ],
)
def test_refused(variables, path, hint):
    plan, problems = attempt(**variables)
    assert plan == {}
    assert [problem.path for problem in problems] == [path]
    assert hint in problems[0].hint


@pytest.mark.parametrize("other", [DEBIAN, dict(CENTOS, version="6")])
def test_what_is_no_enterprise_linux_with_a_systemd_is_refused_by_name(other):
    plan, problems = attempt(other)
    assert plan == {} and len(problems) == 1
    assert f"{other['distribution']} {other['version']}" in problems[0].message
    assert "leave it out" in problems[0].hint


def test_its_variables_on_another_host_are_nobodys_problem_where_another_role_asks():
    assert attempt(dict(DEBIAN, role="nginx"), el_repositories=["zzz"]) == ({}, [])


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
        el_vault_url="http://v/c7/",
        el_repository_urls={"extras": "http://e/"},
        el_gpg_keys={"base": "http://k"},
    )
    assert found["base"]["url"] == "http://v/c7/os/$basearch/"
    assert found["extras"]["url"] == "http://e/"
    assert (found["base"]["gpgkey"], found["updates"]["gpgkey"]) == ("http://k", "")
    settings = planned(el_proxy="http://p:1", el_ca_bundle="/ca.pem", el_timeout=9)["settings"]
    assert settings == {"timeout": "9", "retries": "10", "proxy": "http://p:1", "sslcacert": "/ca.pem"}


def test_which_are_added():
    def enabled(**variables):
        return {name for name, found in repositories(**variables).items() if found["enabled"]}

    assert enabled() == {"base", "updates", "extras"}
    assert enabled(el_python="rh-python38") == {"base", "updates", "extras", "centos-sclo-rh"}
    assert enabled(el_repositories_enabled=["epel"]) == {"epel"}
    assert enabled(el_repositories=["base"]) == {"base"}
    assert repositories(el_repositories=[]) == {}


def test_what_others_of_the_family_call_base_is_theirs():
    assert set(repositories(dict(CENTOS, distribution="OracleLinux"))) == {"epel"}


def test_packages():
    wanted = set(planned()["packages"])
    assert {"gcc", "make", "tar", "gzip", "logrotate", "openssl-devel", "pcre2-devel"} <= wanted
    assert {"python3", "python3-devel"} <= wanted
    assert set(planned(el_python="")["packages"]) == wanted - {"python3", "python3-devel"}
    elsewhere = dict(CENTOS, builder={"known": True})
    assert planned(elsewhere)["packages"] == ["python3"]
    assert planned(el_toolchain="never")["packages"] == ["python3"]
    assert "gcc" in planned(elsewhere, el_toolchain="always")["packages"]
    collection = planned(el_python="rh-python38")
    assert {"rh-python38-python", "rh-python38-python-pip", "rh-python38-python-devel"} <= set(collection["packages"])
    assert collection["scl"]["lib"] == "/opt/rh/rh-python38/root/usr/lib64"
    assert planned()["scl"] is None


def test_an_air_gapped_host_is_asked_for_nothing():
    plan = planned(el_repositories=[], el_toolchain="never", el_python="")
    assert (plan["repositories"], plan["packages"], plan["package_query"]) == ([], [], [])


def test_selinux_only_where_the_kernel_has_it():
    assert (planned()["selinux"], planned()["booleans"]) == (None, [])
    enabled = dict(CENTOS, selinux=True)
    assert planned(enabled)["booleans"] == ["httpd_can_network_connect"]
    assert planned(enabled, el_selinux=False)["selinux"] is None
    cil = planned(enabled)["selinux"]["cil"]
    assert "(allow httpd_t unconfined_service_t (unix_stream_socket (connectto)))" in cil
    # The policy's own file_contexts knows no /run.
    assert '"/run' not in cil


@pytest.mark.parametrize(
    ("distribution", "version", "run"),
    [
        ("RedHat", "8", "/var/run"),
        ("Rocky", "9", "/var/run"),
        ("AlmaLinux", "10", "/run"),
        ("Amazon", "2", "/var/run"),
        ("Amazon", "2023", "/var/run"),
        ("Fedora", "39", "/var/run"),
        ("Fedora", "43", "/run"),
    ],
)
def test_newer_ones_have_selinux_and_firewalld_and_nothing_of_the_archive(distribution, version, run):
    host = dict(CENTOS, distribution=distribution, version=version, selinux=True)
    plan = planned(host, el_toolchain="always", el_python="rh-python38")
    assert (plan["repositories"], plan["packages"], plan["package_query"], plan["scl"]) == ([], [], [], None)
    assert plan["openings"] == ["service=http", "service=https"] and plan["booleans"] == ["httpd_can_network_connect"]
    # The two names of the folder are one to the policy, and only one of them is looked up.
    paths = re.findall(r'\(filecon "([^"]+)"', plan["selinux"]["cil"])
    assert [path for path in paths if "run/" in path] == [f"{run}/uwsgi-[^/]+(/.*)?", f"{run}/wsgi(/.*)?"]


def test_firewalld():
    assert planned()["openings"] == ["service=http", "service=https"]
    plan = planned(el_firewalld_services=[], el_firewalld_ports=["8080/tcp", "8000-8010/udp"])
    assert plan["openings"] == ["port=8080/tcp", "port=8000-8010/udp"]
    assert planned(el_firewalld_zone="dmz")["zone"] == ["--zone=dmz"]
    assert planned(el_firewalld=False)["openings"] == []
