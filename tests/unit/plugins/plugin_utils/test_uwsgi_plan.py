"""The plan of the uwsgi role: bad input refused with its mend, packages by family, a unit the host's systemd knows."""

import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from plans import plain

from ansible_collections.graceful.wsgi.plugins.module_utils import uwsgi_home
from ansible_collections.graceful.wsgi.plugins.plugin_utils import (
    model,
    spec,
    uwsgi_check,
    uwsgi_plan,
    uwsgi_toolchain,
    uwsgi_unit,
)

ROLE = Path(__file__).resolve().parents[4] / "roles/uwsgi"
OPTIONS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["variables"]["options"]
DEBIAN = {"distribution": "Debian", "version": "12", "os_family": "Debian", "arch": "x86_64", "systemd": 252}
CENTOS = {"distribution": "CentOS", "version": "7", "os_family": "RedHat", "arch": "x86_64", "systemd": 219}


def attempt(host=DEBIAN, **variables):
    problems = []
    values = spec.check(variables, OPTIONS, problems)
    assert not problems
    return plain(uwsgi_plan.plan(values, dict(host)))


def planned(host=DEBIAN, **variables):
    plan, problems = attempt(host, **variables)
    assert not problems, [str(problem) for problem in problems]
    return plan


def service(host=DEBIAN, **variables):
    return planned(host, **variables)["unit"]["Service"]


def test_defaults_are_those_of_the_spec():
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    assert defaults == {name: option["default"] for name, option in OPTIONS.items()}


def test_nothing_known_of_the_host_is_no_crash():
    plan = planned(dict.fromkeys(("distribution", "version", "os_family", "arch", "systemd", "python")))
    assert plan["needs"] == []


@pytest.mark.parametrize(
    ("variables", "path", "hint"),
    [
        ({"uwsgi_version": "2.0.27"}, "uwsgi_version", "2.0.28"),
        ({"uwsgi_version": "latest"}, "uwsgi_version", "2.0.31"),
        ({"uwsgi_python": "python 3"}, "uwsgi_python", "python2.7"),
        ({"uwsgi_python": "bin/python3"}, "uwsgi_python", "absolute"),
        ({"uwsgi_features": ["ssl", "rooting"]}, "uwsgi_features[1]", "did you mean routing?"),
        ({"uwsgi_home": "opt/uwsgi"}, "uwsgi_home", "slash"),
        ({"uwsgi_conf_dir": "/etc/uwsgi/"}, "uwsgi_conf_dir", "slash"),
        ({"uwsgi_user": "root"}, "uwsgi_user", "without privileges"),
        ({"uwsgi_group": "a b"}, "uwsgi_group", "uwsgi"),
        ({"uwsgi_pip_no_index": True}, "uwsgi_pip_no_index", "uwsgi_wheel_dir"),
        ({"uwsgi_keep_homes": 0}, "uwsgi_keep_homes", "above 0"),
        ({"uwsgi_cache_keep": -1}, "uwsgi_cache_keep", "0 or more"),
        ({"uwsgi_cache_days": -1}, "uwsgi_cache_days", "0 or more"),
        ({"uwsgi_stop_timeout": 0}, "uwsgi_stop_timeout", "above 0"),
        ({"uwsgi_build_timeout": 0}, "uwsgi_build_timeout", "above 0"),
        ({"uwsgi_memory_limit": "much"}, "uwsgi_memory_limit", "512M"),
        ({"uwsgi_unit_options": {"limit": 1}}, "uwsgi_unit_options.limit", "LimitCORE"),
        ({"uwsgi_system_calls": ["sudo me"]}, "uwsgi_system_calls[0]", "@debug"),
        ({"uwsgi_address_families": ["inet"]}, "uwsgi_address_families[0]", "AF_CAN"),
        ({"uwsgi_unit_options": {"Nice": "1\nUser=root"}}, "uwsgi_unit_options.Nice", "text"),
    ],
)
def test_refused(variables, path, hint):
    plan, problems = attempt(**variables)
    assert plan == {}
    assert [problem.path for problem in problems] == [path]
    assert hint in problems[0].hint


def test_all_problems_at_once():
    _plan, problems = attempt(uwsgi_version="2.0.27", uwsgi_user="root", uwsgi_home="x")
    assert {problem.path for problem in problems} == {"uwsgi_version", "uwsgi_user", "uwsgi_home"}


def test_a_family_without_known_packages_is_refused_unless_packages_are_not_ours():
    suse = dict(DEBIAN, os_family="Suse")
    assert [problem.path for problem in attempt(suse)[1]] == ["uwsgi_manage_packages"]
    assert planned(suse, uwsgi_manage_packages=False)["python_packages"] == {}


def test_packages_follow_features_family_and_release():
    def packages(host, **variables):
        return [need["package"] for need in planned(host, **variables)["needs"]]

    assert packages(DEBIAN, uwsgi_features=["ssl", "routing", "pcre"]) == [
        "gcc",
        "libc6-dev",
        "libssl-dev",
        "libpcre2-dev",
    ]
    assert packages(CENTOS, uwsgi_features=["json"]) == ["gcc", "glibc-devel", "jansson-devel"]
    assert packages(DEBIAN, uwsgi_features=["routing"], uwsgi_version="2.0.21")[-1] == "libpcre3-dev"
    assert planned(CENTOS)["python_packages"]["headers"]["2.7"] == "python-devel"
    assert planned(dict(CENTOS, version="9"))["python_packages"]["headers"]["3.9"] == "python3-devel"


def test_every_feature_names_its_package_in_the_failure():
    plan = planned(uwsgi_features=list(uwsgi_check.FEATURES))
    assert set(uwsgi_check.FEATURES) - set(plan["header_packages"]) == {"yaml"}
    assert plan["header_packages"]["routing"] == "libpcre2-dev"


def test_features_are_those_that_a_binary_can_be_asked_for():
    assert set(uwsgi_check.FEATURES) == set(uwsgi_home.FEATURES)


def test_pip_is_told_by_its_environment():
    env = planned(
        uwsgi_pip_ca_bundle="/ca.pem", uwsgi_pip_proxy="http://p:1", uwsgi_wheel_dir="/w", uwsgi_pip_no_index=True
    )["pip_env"]
    assert env["PIP_CERT"] == "/ca.pem"
    assert env["PIP_PROXY"] == "http://p:1"
    assert env["PIP_NO_INDEX"] == "1"
    assert "PIP_INDEX_URL" not in env


def test_other_roles_get_the_same_as_settings():
    values = spec.check(
        {"uwsgi_pip_ca_bundle": "/ca.pem", "uwsgi_pip_index_url": "i", "uwsgi_pip_proxy": "p"}, OPTIONS, []
    )
    env = {"PIP_INDEX_URL": "i", "PIP_PROXY": "p"}
    assert uwsgi_plan.pip_settings(values) == model.Pip(env=env, cert="/ca.pem")
    values = spec.check({"uwsgi_pip_no_index": True}, OPTIONS, [])
    assert uwsgi_plan.pip_settings(values) == model.Pip(env={"PIP_NO_INDEX": True}, cert="")


@pytest.mark.parametrize("name", ["root", "uwsgi", "no such name", ""])
def test_who_builds_uwsgi_does_nothing_else(name):
    _plan, problems = attempt(uwsgi_build_user=name)
    assert [problem.path for problem in problems] == ["uwsgi_build_user"]


def test_on_the_controller_whoever_runs_ansible_builds():
    host = {**DEBIAN, "uwsgi_builder": {"home": "/h", "cache": "/c", "hosts": ["localhost"]}}
    assert planned()["builder"]["user"] == "uwsgi-build"
    assert planned(host, uwsgi_build_host="localhost")["builder"]["user"] == ""


def test_where_it_comes_from_makes_no_other_build():
    assert planned(uwsgi_pip_index_url="http://x/", uwsgi_pip_proxy="http://p")["build"] == planned()["build"]
    assert planned(uwsgi_build_env={"CPUCOUNT": 1})["build"] != planned()["build"]
    assert planned(uwsgi_pip_extra_args=["--pre"])["build"] != planned()["build"]


def test_systemd_219_gets_only_what_it_knows():
    names = [name for name, _value in service(CENTOS, uwsgi_memory_limit="1G")]
    assert "MemoryLimit" in names
    assert "MemoryMax" not in names
    assert "NoNewPrivileges" in names
    assert "ProtectKernelTunables" not in names
    assert ["MemoryMax", "1G"] in service(DEBIAN, uwsgi_memory_limit="1G")
    assert ["ProtectKernelTunables", "yes"] in service(DEBIAN)


@pytest.mark.parametrize(
    ("systemd", "selinux", "there"), [(219, False, True), (219, True, False), (None, True, False), (239, True, True)]
)
def test_selinux_needs_a_change_of_domain_that_old_kernels_forbid_without_new_privileges(systemd, selinux, there):
    names = {name for name, _value in service(dict(CENTOS, systemd=systemd, selinux=selinux))}
    for name in ("NoNewPrivileges", "RestrictAddressFamilies", "SystemCallArchitectures"):
        assert (name in names) == there
    assert {"PrivateTmp", "ProtectSystem", "CapabilityBoundingSet"} <= names


@given(st.integers(min_value=219, max_value=300), st.integers(min_value=219, max_value=300))
def test_a_newer_systemd_never_knows_less(one, other):
    older, newer = sorted((one, other))

    def names(systemd):
        return {name for name, _value in service(dict(DEBIAN, systemd=systemd))}

    assert names(older) <= names(newer)


def test_the_unit_ends_gracefully_and_is_nobody_elses():
    lines = dict(map(tuple, service(uwsgi_user="web", uwsgi_stop_timeout=9)))
    assert lines["Type"] == "notify"
    assert lines["KillMode"] == "mixed"
    assert lines["KillSignal"] == "SIGTERM"
    # In the environment, so that a drop-in that replaces ExecStart cannot lose it.
    assert '"UWSGI_HOOK_MASTER_START=unix_signal:15 gracefully_kill_them_all"' in lines["Environment"]
    assert lines["User"] == "web"
    assert lines["TimeoutStopSec"] == "9"
    assert "/" not in lines["RuntimeDirectory"]
    # Found missing on minimal hosts: /bin/kill belongs to procps.
    assert not lines["ExecReload"].startswith("/bin/kill")


def test_own_directives_replace_repeat_and_remove():
    lines = service(
        uwsgi_unit_options={"Nice": 5, "PrivateTmp": None, "Environment": ["A=1", "B=2"], "PrivateDevices": False}
    )
    assert ["Nice", "5"] in lines
    assert [value for name, value in lines if name == "Environment"] == [uwsgi_unit.ENVIRONMENT, "A=1", "B=2"]
    assert "PrivateTmp" not in [name for name, _value in lines]
    assert [value for name, value in lines if name == "PrivateDevices"] == ["no"]


@pytest.mark.parametrize(
    ("variables", "name", "there"),
    [
        ({}, "SystemCallFilter", True),
        ({}, "MemoryDenyWriteExecute", False),
        ({}, "ProtectHome", False),
        ({"uwsgi_system_calls": []}, "SystemCallErrorNumber", False),
        ({"uwsgi_write_execute": False}, "MemoryDenyWriteExecute", True),
        ({"uwsgi_read_only_home": True}, "ProtectHome", True),
        ({"uwsgi_read_only_system": False}, "ProtectSystem", False),
        ({"uwsgi_private_devices": False}, "PrivateDevices", False),
        ({"uwsgi_address_families": []}, "RestrictAddressFamilies", False),
    ],
)
def test_each_part_of_the_hardening_has_a_variable(variables, name, there):
    assert (name in {line for line, _value in service(**variables)}) == there


def test_old_systemds_filter_no_system_calls_since_they_answer_unknown_ones_wrongly():
    assert "SystemCallFilter" not in {name for name, _value in service(dict(DEBIAN, systemd=246))}


def test_hardening_can_be_left_out():
    names = {name for name, _value in service(uwsgi_hardening=False)}
    assert not names & {name for name, _value, _first in uwsgi_unit.HARDENING}


# -- one host builds for others --------------------------------------------------------------------------------------

BUILDER = {
    "known": True,
    "home": "/home/me/.cache/graceful-wsgi/uwsgi",
    "cache": "/home/me/.cache/graceful-wsgi/wheels",
}


@pytest.mark.parametrize(
    ("name", "hint"),
    [("bulider", "did you mean builder?"), ("x", "write localhost, a name in the inventory, or nothing")],
)
def test_a_builder_that_nobody_knows_is_refused(name, hint):
    _plan, (problem,) = attempt(
        {**DEBIAN, "uwsgi_builder": {"known": False, "hosts": ["builder", "web"]}}, uwsgi_build_host=name
    )
    assert str(problem) == f"uwsgi_build_host: there is no host {name!r}; {hint}"


@pytest.mark.parametrize(
    ("name", "local", "home"),
    [("builder", False, "/var/lib/graceful-wsgi/uwsgi"), ("localhost", True, BUILDER["home"])],
)
def test_only_the_builder_needs_what_a_build_does(name, local, home):
    alone = planned()
    plan = planned({**DEBIAN, "uwsgi_builder": BUILDER}, uwsgi_build_host=name)
    assert alone["builder"]["host"] == ""
    assert plan["needs"] == []
    assert set(plan["python_packages"]) == {"venv", "pip"}
    assert plan["builder"]["needs"] == alone["needs"] != []
    assert plan["builder"]["python_packages"] == alone["python_packages"]
    assert (plan["builder"]["host"], plan["builder"]["local"], plan["builder"]["home"]) == (name, local, home)
    assert plan["builder"]["cache"] == BUILDER["cache"]
    assert plan["builder"]["virtualenv"]["home"].startswith(f"{home}/tools/")
    # What a host has installed by itself stays as it is when a builder is named.
    assert plan["build"] == alone["build"]


def test_no_packages_are_asked_for_where_they_are_not_the_roles_business():
    plan = planned(uwsgi_build_host="builder", uwsgi_manage_packages=False)
    assert (plan["builder"]["needs"], plan["builder"]["python_packages"]) == ([], {})
    assert (plan["family"], plan["package_query"]) == ("", [])


def test_packages_of_libraries_are_asked_for_only_where_a_library_is_missing():
    query = planned()["library_query"]

    def say(*names):
        words = [*query, *names, "--", "echo", "asked"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    assert say() == say("libc.so.6") == planned()["libraries_found"]
    assert say("libc.so.6", "libno.such.so.1") == "asked" == say("libc.so")


CONSTRAINTS = {"2.7": "# why\nFlask<2\n", "3.6": "Flask<2.1\n"}


@pytest.mark.parametrize(
    ("variable", "texts", "python", "bounds", "own"),
    [
        ("auto", CONSTRAINTS, "2.7", ["Flask<2"], []),
        ("auto", CONSTRAINTS, "3.11", [], []),
        ("auto", CONSTRAINTS, None, [], []),
        ("auto", None, "2.7", [], []),
        ("my.txt", {"*": "flask==2\n\n# x\n"}, "3.11", [], ["flask==2"]),
        ("", {}, "2.7", [], []),
    ],
)
def test_what_pip_keeps_to_by_python(variable, texts, python, bounds, own):
    values = spec.check({"uwsgi_pip_constraints": variable}, OPTIONS, [])
    host = {**DEBIAN, "constraints": texts, "uwsgi": {"python": python}}
    assert uwsgi_plan.limits(values, host) == {"bounds": bounds, "constraints": own}
    # uWSGI's own virtualenv is made before it is known which Python it is: the tasks choose.
    plan, problems = plain(uwsgi_plan.plan(values, host))
    assert not problems and plan["constraints"] == {"*": "", **(texts or {})}


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "there is no file my.txt on the controller"), ("flask<2\n -c more.txt\n", "holds '-c more.txt'")],
)
def test_constraints_that_cannot_be_handed_over_are_refused(text, message):
    _plan, problems = attempt({**DEBIAN, "constraints": {"*": text}}, uwsgi_pip_constraints="my.txt")
    assert [problem.path for problem in problems] == ["uwsgi_pip_constraints"]
    assert message in problems[0].message


ZIG = {"uwsgi_build_toolchain": "zig"}
# What a host of another kind than the controller's is built for with.
BROUGHT = {"uwsgi_build_host": "localhost", "uwsgi_headers_dir": "/rpms"}


def test_zig_takes_headers_and_no_compiler():
    def packages(host, **variables):
        plan = planned(host, **ZIG, **variables)
        return [need["package"] for need in plan["needs"]], "headers" in plan["python_packages"]

    assert packages(DEBIAN, uwsgi_features=["ssl"]) == (["libcrypt-dev", "libssl-dev"], True)
    assert packages(CENTOS, uwsgi_features=["zlib"]) == (["glibc-devel", "zlib-devel"], True)
    assert packages(CENTOS, uwsgi_headers_dir="/rpms") == ([], False)
    # A failure names the package all the same.
    assert planned(CENTOS, **ZIG, uwsgi_headers_dir="/rpms")["header_packages"]["ssl"] == "openssl-devel"


def test_zig_is_pinned_and_known_by_what_it_built():
    plan = planned(CENTOS, **ZIG)
    checksum = uwsgi_toolchain.CHECKSUMS["zig-0.15.2-x86_64"]
    assert plan["toolchain"]["requirement"] == f"ziglang==0.15.2 --hash=sha256:{checksum}"
    assert "--platform=manylinux2010_x86_64" in plan["toolchain"]["pip"]
    assert plan["build"]["toolchain"]["zig"] == "0.15.2"
    other = planned(CENTOS, **ZIG, uwsgi_zig_version="0.16.0", uwsgi_checksums={"zig-0.16.0-x86_64": "A" * 64})
    assert other["toolchain"]["requirement"].endswith("a" * 64)
    # What the host's own compiler built before there was zig stays what is wanted.
    assert planned(CENTOS)["toolchain"] == {}
    assert planned(CENTOS)["build"] == {"extra_args": [], "env": {}}


def test_zigs_build_finds_given_headers_before_the_hosts():
    told = planned(CENTOS, **ZIG, uwsgi_headers_dir="/rpms")["toolchain"]
    assert told["includes"][0] == "@place@/sysroot/usr/include"
    assert "/usr/include" in told["includes"] and "/usr/lib64" in told["libraries"]
    assert told["environment"]["PATH"].startswith("@place@/sysroot/usr/bin:")
    assert all(not folder.startswith("@") for folder in planned(CENTOS, **ZIG)["toolchain"]["includes"])
    assert "PATH" not in planned(CENTOS, **ZIG)["toolchain"]["environment"]


def test_for_another_kind_of_host_the_controllers_own_headers_and_libraries_are_out_of_sight():
    plan = planned(CENTOS, **ZIG, **BROUGHT)
    told = plan["toolchain"]["cross"]
    environment = told["environment"]
    seen = [*told["includes"], *told["libraries"], *environment["UWSGI_INCLUDES"].split(",")]
    assert all(folder.startswith("@place@/") for folder in seen)
    # uWSGI's build asks these by name, and one that is not there is looked for in the controller's own folders.
    assert {"pkg-config", "pcre-config", "pcre2-config"} <= set(told["commands"])
    assert environment["PATH"].startswith("@place@/bin:@place@/sysroot/usr/bin:")
    # Without it uWSGI links the Python that runs its build.
    assert environment["UWSGI_PYTHON_NOLIB"] == "1"
    assert plan["builder"]["brought"] and plan["builder"]["library_packages"]["libpython2.7.so.1.0"] == "python-libs"
    # The wheel is the one that a builder of the host's kind would make, known by the same name.
    assert plan["build"] == planned(CENTOS, **ZIG)["build"]


@pytest.mark.parametrize(
    "variables",
    [{}, {"uwsgi_build_host": "localhost"}, {"uwsgi_build_host": "b", "uwsgi_headers_dir": "/rpms"}],
)
def test_a_builder_without_the_hosts_headers_is_to_be_of_the_hosts_kind(variables):
    host = {**CENTOS, "uwsgi_builder": {"known": True, "hosts": []}}
    plan = planned(host, **ZIG, **variables)
    assert not plan["builder"]["brought"] and plan["toolchain"]["cross"] == {}
    assert "UWSGI_PYTHON_NOLIB" not in plan["toolchain"]["environment"]


@pytest.mark.parametrize(
    ("variables", "path", "hint"),
    [
        ({**ZIG, "uwsgi_zig_version": "0.99.0"}, "uwsgi_zig_version", "uwsgi_checksums['zig-0.99.0-x86_64']"),
        ({**ZIG, "uwsgi_zig_version": "new"}, "uwsgi_zig_version", "quotes"),
        ({"uwsgi_checksums": {"zig": "0" * 64}}, "uwsgi_checksums.zig", "<architecture>"),
        ({"uwsgi_checksums": {"zig-0.16.0-x86_64": "0"}}, "uwsgi_checksums.zig-0.16.0-x86_64", "64"),
        ({"uwsgi_headers_dir": "/rpms"}, "uwsgi_headers_dir", "uwsgi_build_toolchain: zig"),
        ({**ZIG, "uwsgi_build_env": {"CC": "gcc"}}, "uwsgi_build_env.CC", "leave it out"),
        ({**ZIG, "uwsgi_build_env": {"UWSGI_EMBED_FILES": "a"}}, "uwsgi_build_env.UWSGI_EMBED_FILES", "host"),
        (
            {**ZIG, **BROUGHT, "uwsgi_build_env": {"UWSGI_PYTHON_NOLIB": "1"}},
            "uwsgi_build_env.UWSGI_PYTHON_NOLIB",
            "leave it out",
        ),
    ],
)
def test_what_zig_cannot_take_is_refused(variables, path, hint):
    _plan, problems = attempt(**variables)
    assert [problem.path for problem in problems] == [path]
    assert hint in problems[0].hint


def test_zig_is_refused_on_what_it_is_not_made_for():
    [problem] = attempt(dict(DEBIAN, arch="s390x"), **ZIG)[1]
    assert problem.path == "uwsgi_build_toolchain" and "s390x" in str(problem)


def test_what_zig_takes_of_the_controller_is_missed_where_something_is_to_be_built():
    def lacks(wheels, headers):
        builder = {"uwsgi_builder": {"headers": headers}, "wheels": {"files": wheels, "wheels": []}}
        variables = {"uwsgi_pip_no_index": True, "uwsgi_wheel_dir": "/w", "uwsgi_headers_dir": "/rpms"}
        plan = planned({**CENTOS, **builder}, **ZIG, **variables)
        return [line.partition(":")[0] for line in plan["toolchain"]["lacks"]]

    wheel = "ziglang-0.15.2-py3-none-manylinux_2_12_x86_64.manylinux2010_x86_64.musllinux_1_1_x86_64.whl"
    assert lacks([wheel], ["zlib-devel-1.2.7-18.el7.x86_64.rpm"]) == []
    assert lacks(["ziglang-0.14.0-py3-none-any.whl"], ["README"]) == ["uwsgi_wheel_dir", "uwsgi_headers_dir"]
    # A CentOS has nothing that unpacks a deb.
    assert lacks([wheel], ["zlib1g-dev_1.2.13_amd64.deb"]) == ["uwsgi_headers_dir"]
    assert planned(CENTOS, **ZIG)["toolchain"]["lacks"] == []


@pytest.mark.parametrize(
    ("headers", "tools", "message"),
    [
        (["a.rpm"], ["rpm2cpio"], "install rpm2cpio and cpio"),
        (["a.rpm"], ["rpm2cpio", "cpio"], None),
        (["a.rpm"], ["bsdtar"], None),
        (["a.deb"], [], "install dpkg"),
        (["el7.tar.gz"], [], None),
        (["README"], [], "neither rpm nor deb nor tar"),
    ],
)
def test_what_the_controller_unpacks_headers_with_is_missed(headers, tools, message):
    known = {"known": True, "headers": headers, "tools": tools}
    lacks = planned({**CENTOS, "uwsgi_builder": known}, **ZIG, **BROUGHT)["toolchain"]["lacks"]
    assert len(lacks) == (message is not None)
    assert all(line.startswith("uwsgi_headers_dir: ") and message in line for line in lacks)
    # Each other host unpacks by the tools of its own packages.
    elsewhere = {"uwsgi_build_host": "b", "uwsgi_headers_dir": "/rpms"}
    lacks = planned({**CENTOS, "uwsgi_builder": known}, **ZIG, **elsewhere)["toolchain"]["lacks"]
    assert ["neither rpm nor tar" in line for line in lacks] == [True] * (headers in (["a.deb"], ["README"]))
