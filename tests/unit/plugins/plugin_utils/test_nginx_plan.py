"""The plan of the nginx role: what names an artifact, what is refused, and a nginx.conf that says what was meant."""

import subprocess
from pathlib import Path

import jinja2
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from plans import plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import nginx_plan, nginx_tree, nginx_unit, spec

ROLE = Path(__file__).resolve().parents[4] / "roles/nginx"
OPTIONS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["variables"]["options"]
DEBIAN = {"distribution": "Debian", "version": "12", "os_family": "Debian", "arch": "x86_64"}
CENTOS = {"distribution": "CentOS", "version": "7", "os_family": "RedHat", "arch": "x86_64"}
UNKNOWN = {"distribution": None, "version": None, "os_family": None, "arch": None, "systemd": None, "python": None}
SHA = "ab" * 32


def attempt(host=DEBIAN, **variables):
    problems = []
    values = spec.check(variables, OPTIONS, problems)
    assert not problems, [str(problem) for problem in problems]
    return plain(nginx_plan.plan(values, dict(host)))


def planned(host=DEBIAN, **variables):
    plan, problems = attempt(host, **variables)
    assert not problems, [str(problem) for problem in problems]
    return plan


def refused(host=DEBIAN, **variables):
    plan, problems = attempt(host, **variables)
    assert plan == {}
    return [str(problem) for problem in problems]


def test_defaults_file_says_what_the_spec_says():
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    assert defaults == {name: option["default"] for name, option in OPTIONS.items()}


@pytest.mark.parametrize("host", [DEBIAN, CENTOS, UNKNOWN, {}])
def test_defaults_plan_everywhere(host):
    plan = planned(host)
    assert plan["id"].startswith("1.30.6-")
    assert len(plan["id"]) == len("1.30.6-") + 12
    assert plan["artifact"] == f"/var/lib/graceful-wsgi/nginx/artifacts/{plan['id']}"


# -- what names an artifact --------------------------------------------------------------------------------------

INPUTS = {
    "nginx_version": st.sampled_from(["1.30.6", "1.26.3"]),
    "nginx_pcre2_version": st.sampled_from(["10.46", "10.49"]),
    "nginx_checksums": st.sampled_from([{}, {"nginx-1.26.3": SHA}, {"pcre2-10.46": SHA}]),
    "nginx_openssl": st.sampled_from(["auto", "host", "source"]),
    "nginx_openssl_version": st.sampled_from(["3.5.7", "3.5.6"]),
    "nginx_zlib": st.sampled_from(["auto", "host", "source"]),
    "nginx_build_options": st.lists(st.sampled_from(["--with-http_sub_module", "--with-http_dav_module"]), unique=True),
    "nginx_build_cc_opt": st.sampled_from(["-O2", "-O3", ""]),
    "nginx_build_ld_opt": st.sampled_from(["-pie", ""]),
    "nginx_user": st.sampled_from(["nginx", "www-data"]),
    "nginx_group": st.sampled_from(["nginx", "www-data"]),
}
OTHERS = {
    "nginx_manage_packages": st.booleans(),
    "nginx_source_dir": st.sampled_from(["", "/srv/sources"]),
    "nginx_mirror": st.sampled_from(["", "https://mirror.example.com/src"]),
    "nginx_urls": st.sampled_from([{}, {"nginx": "https://example.com/n.tar.gz"}]),
    "nginx_http_proxy": st.sampled_from(["", "http://proxy.example.com:3128"]),
    "nginx_ca_bundle": st.sampled_from(["", "/etc/ca.pem"]),
    "nginx_download_timeout": st.integers(1, 999),
    "nginx_download_retries": st.integers(0, 9),
    "nginx_signing_keys": st.just(["key.asc"]),
    "nginx_verify_signature": st.booleans(),
    "nginx_accepted_faults": st.sampled_from([[], ["support"]]),
    "nginx_zlib_version": st.just("1.3.1"),
    "nginx_zig_version": st.sampled_from(["0.15.2", "0.14.1"]),
    "nginx_artifact_dir": st.sampled_from(["~/.cache/x", "/srv/artifacts"]),
    "nginx_build_jobs": st.integers(0, 64),
    "nginx_build_timeout": st.integers(1, 9999),
    "nginx_build_user": st.sampled_from(["nginx-build", "builder"]),
    "nginx_conf_template": st.just("mine.j2"),
    "nginx_unit_template": st.just("mine.j2"),
    "nginx_worker_processes": st.sampled_from(["auto", "4"]),
    "nginx_worker_connections": st.integers(2, 9999),
    "nginx_main_options": st.just({"worker_shutdown_timeout": "60s"}),
    "nginx_events_options": st.just({"multi_accept": True}),
    "nginx_conf_options": st.sampled_from([{}, {"gzip": True}]),
    "nginx_service_enabled": st.booleans(),
    "nginx_take_over": st.booleans(),
    "nginx_log_keep": st.integers(1, 99),
    "nginx_keep_artifacts": st.integers(1, 9),
    "nginx_cache_keep": st.integers(0, 9),
    "nginx_cache_days": st.integers(0, 99),
    "nginx_hardening": st.booleans(),
    "nginx_read_only_system": st.booleans(),
    "nginx_read_only_home": st.booleans(),
    "nginx_private_devices": st.booleans(),
    "nginx_write_execute": st.booleans(),
    "nginx_system_calls": st.sampled_from([[], ["@system-service"]]),
    "nginx_capabilities": st.sampled_from([[], ["CAP_NET_RAW"]]),
    "nginx_unit_options": st.just({"Nice": 1}),
}
HOSTS = st.sampled_from([DEBIAN, CENTOS, {**DEBIAN, "version": "13"}, {**DEBIAN, "arch": "aarch64"}])
ZLIB = {"zlib-1.3.1": SHA}


def test_every_variable_is_an_input_or_not():
    assert set(INPUTS) | set(OTHERS) | {"nginx_build_toolchain", "nginx_build_host"} == set(OPTIONS)


def effective(inputs):
    """The inputs that count: checksums and versions of what is built, and no others."""
    inputs = dict(inputs)
    sums = {"nginx-1.26.3": "nginx_version", "pcre2-10.46": "nginx_pcre2_version"}
    inputs["nginx_checksums"] = {
        release: sha
        for release, sha in inputs["nginx_checksums"].items()
        if release.endswith(f"-{inputs[sums[release]]}")
    }
    for name in ("nginx_openssl", "nginx_zlib"):
        inputs[name] = inputs[name].replace("auto", "host")
    if inputs["nginx_openssl"] == "host":
        del inputs["nginx_openssl_version"]
    return inputs


def identity(inputs, others, host):
    variables = {**inputs, **others, "nginx_checksums": {**ZLIB, **inputs["nginx_checksums"]}}
    return planned(host, **variables)["id"]


@given(
    st.fixed_dictionaries(INPUTS),
    st.fixed_dictionaries(INPUTS),
    st.fixed_dictionaries({}, optional=OTHERS | {"nginx_signing_keys": st.just(["key.asc"])}),
    st.fixed_dictionaries({}, optional=OTHERS),
    HOSTS,
    HOSTS,
)
def test_the_id_changes_with_each_input_and_with_nothing_else(one, two, around_one, around_two, here, there):
    for around in (around_one, around_two):
        if around.get("nginx_verify_signature"):
            around["nginx_signing_keys"] = ["key.asc"]
    same = effective(one) == effective(two) and here == there
    assert (identity(one, around_one, here) == identity(two, around_two, there)) == same
    # Two draws seldom agree; the same inputs in another setting must.
    assert identity(one, around_one, here) == identity(one, around_two, {**here, "systemd": 219, "python": "2.7"})


@pytest.mark.parametrize("name", sorted(INPUTS))
def test_a_change_of_one_input_alone_changes_the_id(name):
    base = {"nginx_openssl": "source", "nginx_checksums": dict(ZLIB)}
    other = {
        "nginx_version": "1.26.3",
        "nginx_pcre2_version": "10.49",
        "nginx_checksums": {**ZLIB, "nginx-1.30.6": SHA},
        "nginx_openssl": "host",
        "nginx_openssl_version": "3.5.6",
        "nginx_zlib": "source",
        "nginx_build_options": ["--with-http_sub_module"],
        "nginx_build_cc_opt": "-O3",
        "nginx_build_ld_opt": "",
        "nginx_user": "www-data",
        "nginx_group": "www-data",
    }
    assert planned(**base)["id"] != planned(**{**base, name: other[name]})["id"]


# -- sources -----------------------------------------------------------------------------------------------------


def packages(plan):
    return plan["build"]["packages"]


def source(plan, name):
    return next(found for found in plan["sources"] if found["name"] == name)


@pytest.mark.parametrize(
    ("variables", "path", "url"),
    [
        ({}, None, "https://nginx.org/download/nginx-1.30.6.tar.gz"),
        ({"nginx_mirror": "http://m/x/"}, None, "http://m/x/nginx-1.30.6.tar.gz"),
        ({"nginx_mirror": "http://m/x", "nginx_source_dir": "/s/"}, "/s/nginx-1.30.6.tar.gz", None),
        ({"nginx_source_dir": "/s", "nginx_urls": {"nginx": "http://u/n.tgz"}}, None, "http://u/n.tgz"),
    ],
)
def test_where_a_source_comes_from(variables, path, url):
    found = source(planned(**variables), "nginx")
    assert (found["path"], found["url"]) == (path, url)


def test_built_from_source_is_fetched_and_not_asked_of_the_host():
    plan = planned(nginx_openssl="source", nginx_zlib="source", nginx_checksums=ZLIB)
    assert [found["name"] for found in plan["sources"]] == ["nginx", "pcre2", "zlib", "openssl"]
    assert not {"libssl-dev", "zlib1g-dev"} & set(packages(plan))
    assert {"--with-pcre=../pcre2-10.46", "--with-zlib=../zlib-1.3.1", "--with-openssl=../openssl-3.5.7"} <= set(
        plan["flags"]
    )
    assert {"libssl-dev", "zlib1g-dev"} < set(packages(planned()))


def test_a_checksum_of_the_users_wins():
    upper = planned(nginx_checksums={"nginx-1.30.6": SHA.upper()})
    assert source(upper, "nginx")["sha256"] == SHA


def test_packages_by_family():
    assert packages(planned()) == ["gcc", "gzip", "libc6-dev", "libssl-dev", "make", "tar", "zlib1g-dev"]
    assert "openssl-devel" in packages(planned(CENTOS))
    assert "rpm -q --qf" in " ".join(planned(CENTOS)["build"]["package_query"])
    assert "gpg" in packages(planned(nginx_verify_signature=True, nginx_signing_keys=["k"]))
    assert packages(planned(UNKNOWN)) == planned(UNKNOWN)["build"]["package_query"] == []


def test_accounts_and_jit_are_always_in_the_flags():
    assert {"--user=www", "--group=web", "--with-pcre-jit"} <= set(
        planned(nginx_user="www", nginx_group="web")["flags"]
    )


def test_downloads_take_proxy_and_authorities():
    environment = planned(nginx_http_proxy="http://p:1", nginx_ca_bundle="/ca")["environment"]
    assert environment["https_proxy"] == "http://p:1"
    assert environment["SSL_CERT_FILE"] == "/ca"
    assert planned()["environment"] == {}


# -- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"nginx_version": "1.26.2"}, "nginx_version: no sha256 is known for nginx-1.26.2; set nginx_checksums['ngin"),
        ({"nginx_version": "1.20.2", "nginx_checksums": {"nginx-1.20.2": SHA}}, "does not know PCRE2; take 1.21.5"),
        ({"nginx_version": "../x"}, "nginx_version: '../x' is no version"),
        ({"nginx_version": "1.30.6; id"}, "is no version"),
        ({"nginx_version": 1.31}, "nginx_version: no sha256 is known for nginx-1.31"),
        ({"nginx_zlib": "source", "nginx_zlib_version": "1.2"}, "nginx_zlib_version: no sha256 is known for zlib-1.2"),
        ({"nginx_build_host": "bulider"}, "nginx_build_host: there is no host 'bulider'; did you mean builder?"),
        ({"nginx_build_host": "x"}, "write localhost, a name in the inventory, or nothing"),
        ({"nginx_checksums": {"nginx": SHA}}, "nginx_checksums.nginx: is no name of a release"),
        ({"nginx_checksums": {"nginx-1.30.6": "abc"}}, "nginx_checksums.nginx-1.30.6: 'abc' is no sha256"),
        ({"nginx_checksums": {"nginx-1.30.6": 12}}, "12 is no sha256"),
        ({"nginx_urls": {"ngnix": "http://x"}}, "nginx_urls.ngnix: there is no such source; did you mean nginx?"),
        ({"nginx_urls": {"nginx": "/srv/x"}}, "nginx_urls.nginx: '/srv/x' is no URL"),
        ({"nginx_mirror": "mirror"}, "nginx_mirror: 'mirror' is no URL"),
        ({"nginx_verify_signature": True}, "nginx_signing_keys: is empty"),
        ({"nginx_user": "a b"}, "nginx_user: 'a b' is no name"),
        ({"nginx_group": "-x"}, "nginx_group: '-x' is no name"),
        ({"nginx_build_user": "root"}, "nginx_build_user: root must not build"),
        ({"nginx_build_user": "nginx"}, "nginx_build_user: nginx must not build"),
        ({"nginx_worker_processes": "0"}, "nginx_worker_processes: '0' is no number"),
        ({"nginx_keep_artifacts": 0}, "nginx_keep_artifacts: 0 is too small; write 1"),
        ({"nginx_cache_keep": -1}, "nginx_cache_keep: -1 is too small; write 0"),
        ({"nginx_cache_days": -1}, "nginx_cache_days: -1 is too small; write 0"),
        ({"nginx_worker_connections": 1}, "nginx_worker_connections: 1 is too small; write 2"),
        ({"nginx_build_jobs": -1}, "nginx_build_jobs: -1 is too small; write 0"),
        ({"nginx_build_options": ["--prefix=/x"]}, "nginx_build_options[0]: --prefix is the role's own"),
        ({"nginx_build_options": ["--x", "--user=me"]}, "nginx_build_options[1]: --user is the role's own; set nginx_"),
        ({"nginx_build_options": ["--without-pcre"]}, "PCRE2 is always built in"),
        ({"nginx_build_options": ["with-threads"]}, "is no option of ./configure"),
        ({"nginx_build_options": ["--with-stream=dynamic"]}, "no dynamic modules"),
        ({"nginx_build_options": ["--add-dynamic-module=/x"]}, "no dynamic modules"),
        ({"nginx_build_cc_opt": "-O2\n-g"}, "nginx_build_cc_opt: holds a line break"),
        ({"nginx_main_options": {"pid": "/x"}}, "nginx_main_options.pid: is the role's own"),
        ({"nginx_events_options": {"worker_connections": 5}}, "set nginx_worker_connections"),
        ({"nginx_conf_options": {"gzip": "on;"}}, "nginx_conf_options.gzip: 'on;' has a bare ;; leave off the final ;"),
        ({"nginx_conf_options": {"map $a $b": {"x": ["1", "{"]}}}, "nginx_conf_options.map $a $b.x[1]: '{' has a bar"),
        ({"nginx_conf_options": {"x": [[1]]}}, "nginx_conf_options.x[0]: a list is no value"),
    ],
)
def test_refused_with_path_and_mend(variables, message):
    (problem,) = refused({**DEBIAN, "builder": {"known": False, "hosts": ["builder", "web"]}}, **variables)
    assert message in problem


def test_a_host_that_is_not_to_be_touched_by_packages_is_asked_for_them_and_gets_none():
    build = planned(nginx_manage_packages=False)["build"]
    assert not build["installs_packages"] and build["extra_packages"] == []
    assert build["packages"] == planned()["build"]["packages"]
    assert planned()["build"]["installs_packages"]
    assert not planned(nginx_build_host="localhost")["build"]["installs_packages"]


def test_an_unknown_family_that_brings_its_packages_itself_is_asked_for_commands():
    build = planned({**DEBIAN, "os_family": "Suse"}, nginx_manage_packages=False)["build"]
    assert build["packages"] == ["cc", "gzip", "make", "tar"]
    assert build["package_query"][:2] == ["sh", "-c"] and "command -v" in build["package_query"][2]


def test_an_unknown_family_is_refused():
    assert "no packages are known for Suse" in refused({**DEBIAN, "os_family": "Suse"})[0]


def test_all_problems_come_at_once():
    assert len(refused(nginx_version="1.26.2", nginx_user="a b", nginx_main_options={"http": {}})) == 3


# -- zig -----------------------------------------------------------------------------------------------------------

ZIG = {"nginx_build_toolchain": "zig"}


def test_zig_builds_everything_in():
    plan = planned(**ZIG)
    assert [found["name"] for found in plan["sources"]] == ["nginx", "pcre2", "zlib", "openssl", "zig"]
    assert next(flag for flag in plan["flags"] if flag.startswith("--with-ld-opt=")).startswith(
        "--with-ld-opt=-static "
    )
    assert plan["static"] and not planned()["static"]
    (compiler,) = [line for line in plan["toolchain"] if line.endswith("> bin/zig-cc")]
    assert '/ziglang/zig" cc -target x86_64-linux-musl ' in compiler
    assert packages(plan) == ["gzip", "make", "perl", "python3", "python3-venv", "tar"]
    assert planned()["zig"] is None


def test_zigs_wheel_is_one_of_the_sources():
    x86_64, aarch64 = (source(planned({**DEBIAN, "arch": arch}, **ZIG), "zig") for arch in ("x86_64", "aarch64"))
    assert x86_64["file"].startswith("ziglang-0.15.2-py3-none-manylinux_2_12_x86_64.")
    assert aarch64["file"].startswith("ziglang-0.15.2-py3-none-manylinux_2_17_aarch64.")
    assert x86_64["sha256"] != aarch64["sha256"]
    # From the folder of the tarballs where it is there, else by pip.
    for wheels, path in (([x86_64["file"]], f"/s/{x86_64['file']}"), ([aarch64["file"]], None)):
        found = source(planned({**DEBIAN, "builder": {"wheels": wheels}}, **ZIG, nginx_source_dir="/s"), "zig")
        assert (found["path"], found["url"]) == (path, None)
    by_pip = planned(**ZIG)
    assert (source(by_pip, "zig")["path"], source(by_pip, "zig")["url"]) == (None, None)
    assert source(planned(**ZIG, nginx_mirror="http://m"), "zig")["url"].startswith("http://m/ziglang-")
    given = planned(**ZIG, nginx_urls={"zig": "http://u/z.whl"})
    assert source(given, "zig")["url"] == "http://u/z.whl"
    assert "python3-venv" not in packages(given)
    other = planned(**ZIG, nginx_zig_version="0.16.0", nginx_checksums={"zig-0.16.0-x86_64": SHA})
    assert source(other, "zig")["sha256"] == SHA


def test_what_zig_makes_is_the_same_from_every_host_of_an_architecture():
    places = [DEBIAN, CENTOS, {**DEBIAN, "version": "13"}, {**DEBIAN, "builder": {**CENTOS, "known": True}}]
    assert len({planned(place, **ZIG)["id"] for place in places}) == 1
    assert planned(**ZIG)["id"] != planned({**DEBIAN, "arch": "aarch64"}, **ZIG)["id"]
    assert planned(**ZIG)["id"] != planned(nginx_zlib="source", nginx_openssl="source")["id"]


def test_the_id_changes_with_zig():
    sums = {"zig-0.16.0-x86_64": SHA}
    assert planned(**ZIG)["id"] == planned(**ZIG, nginx_checksums=sums)["id"]
    assert planned(**ZIG)["id"] != planned(**ZIG, nginx_checksums=sums, nginx_zig_version="0.16.0")["id"]
    assert planned(**ZIG)["id"] != planned(**ZIG, nginx_checksums={"zig-0.15.2-x86_64": SHA})["id"]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"nginx_zlib": "host"},
            "nginx_zlib: is host, and a static nginx cannot use the host's; write source (or auto)",
        ),
        ({"nginx_openssl": "host"}, "nginx_openssl: is host, and a static nginx cannot use the host's"),
        ({"nginx_build_options": ["--with-stream=dynamic"]}, "nginx_build_options[0]: a static nginx cannot load"),
        ({"nginx_build_options": ["--with-http_xslt_module"]}, "needs the host's libxslt, which a static nginx cannot"),
        ({"nginx_main_options": {"load_module": "x.so"}}, "nginx_main_options.load_module: a static nginx cannot load"),
        (
            {"nginx_zig_version": "0.1.0"},
            "nginx_zig_version: no sha256 is known for zig-0.1.0-x86_64; set nginx_ch",
        ),
        ({"nginx_zig_version": "latest"}, "nginx_zig_version: 'latest' is no version"),
    ],
)
def test_what_a_static_nginx_cannot_have_is_refused(variables, message):
    (problem,) = refused(**ZIG, **variables)
    assert message in problem


def test_zig_is_refused_where_it_builds_nothing():
    (problem,) = refused({**DEBIAN, "arch": "s390x"}, **ZIG)
    assert problem.startswith("nginx_build_toolchain: is zig, and this host is s390x; set nginx_build_toolchain: host")


# -- who builds ----------------------------------------------------------------------------------------------------

HOME = {"home": "/home/me/.cache/nginx", "cache": "/home/me/.cache/artifacts"}


def test_each_host_builds_its_own():
    plan = planned({**DEBIAN, "builder": HOME})
    assert plan["build"]["artifact"] == plan["artifact"]
    assert plan["build"]["run_as"] == ["runuser", "-u", "nginx-build", "--"]


def test_the_controller_builds_as_who_runs_there_and_installs_nothing():
    plan = planned({**DEBIAN, "builder": {**HOME, "known": True}}, **ZIG, nginx_build_host="localhost")
    assert plan["build"]["home"] == "/home/me/.cache/nginx"
    assert plan["cache"] == "/home/me/.cache/artifacts"
    assert (plan["build"]["run_as"], plan["build"]["owner"]) == ([], "")
    assert packages(plan) == ["gzip", "make", "perl", "tar"]
    assert plan["build"]["extra_packages"] == []


def test_a_host_that_has_the_tools_otherwise_is_asked_for_no_package(tmp_path):
    """Neither rpm nor a package is there, but commands and headers are; logrotate alone is no reason to ask yum."""
    query = planned(CENTOS)["build"]["package_query"]
    assert query[-1] == "logrotate"
    proofs = [word for word in query if word.startswith("gcc=")]
    header = tmp_path / "zlib.h"
    header.touch()
    command = [*query[:4], "make=sh", f"zlib-devel={header}", "gcc=no-such-command", "--", "echo", "no rpm"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said == ["installed make", "installed zlib-devel", "no rpm"]
    assert proofs == ["gcc=gcc"]
    assert planned(CENTOS)["build"]["extra_packages"] == ["logrotate"]


def test_perls_command_alone_proves_none_of_its_modules():
    query = planned(nginx_build_toolchain="zig")["build"]["package_query"]
    assert "perl" in query
    assert not [word for word in query if word.startswith("perl=")]


def test_the_controllers_commands_are_asked_for():
    plan = planned(nginx_build_host="localhost", nginx_build_options=[])
    query = [*plan["build"]["package_query"], "no-such-command"]
    said = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "installed tar" in said
    assert "installed no-such-command" not in said


def test_another_host_builds_with_its_packages_and_its_name():
    builder = {**HOME, **CENTOS, "known": True, "system": "Linux"}
    plan = planned({**DEBIAN, "builder": builder}, nginx_build_host="builder")
    assert "glibc-devel" in packages(plan)
    assert plan["build"]["artifact"] == plan["artifact"]
    # What a host's compiler makes is the builder's, whoever gets it.
    assert plan["id"] == planned({**CENTOS, "builder": builder}, nginx_build_host="builder")["id"]
    assert plan["id"] == planned(CENTOS)["id"] != planned(DEBIAN)["id"]


@pytest.mark.parametrize(
    "host, variables, lacks",
    [
        ({"builder": {**HOME, "known": True}}, {}, True),
        ({"builder": {**HOME, "known": True, **CENTOS, "os_family": None}}, {}, True),
        ({"builder": {**HOME, "known": True, **CENTOS}}, {}, False),
        ({"builder": {**HOME, "known": True}}, {**ZIG}, False),
        ({"builder": {**HOME, "known": True}}, {"nginx_build_host": ""}, False),
        # A kit tells what its builder was.
        ({"builder": {**HOME, "known": True}, "kit": {"collecting": False, "manifest": None}}, {}, False),
    ],
)
def test_facts_of_the_builder_that_the_name_of_a_build_takes_are_asked_for_where_they_lack(host, variables, lacks):
    plan = planned({**DEBIAN, **host}, **{"nginx_build_host": "builder", **variables})
    assert plan["build"]["lacks_facts"] is lacks


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (
            {"arch": "aarch64"},
            "nginx_build_host: b is aarch64, and this host is x86_64; name a builder of the same a",
        ),
        ({"system": "Darwin"}, "nginx_build_host: b runs Darwin; name a builder that runs Linux"),
        ({"os_family": "Suse"}, "no packages are known for Suse"),
    ],
)
def test_a_builder_that_cannot_build_for_the_host_is_refused(builder, message):
    (problem,) = refused({**DEBIAN, "builder": {"known": True, **builder}}, nginx_build_host="b")
    assert message in problem


# -- nginx.conf --------------------------------------------------------------------------------------------------


def printed(tree):
    """What the role's template makes of a tree."""
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    environment.filters["comment"] = lambda text: f"# {text}"
    template = environment.from_string((ROLE / "templates/nginx.conf.j2").read_text())
    return template.render(tree=tree, ansible_managed="x")


def lex(text):
    """nginx's reading of a configuration, after ngx_conf_read_token: words, quotes, ; { }."""
    words, word, index, quote, stack, blocks = [], None, 0, "", [], []
    while index < len(text):
        char = text[index]
        if quote:
            if char == "\\":
                word += text[index : index + 2]
                index += 2
                continue
            word += char
            if char == quote:
                quote = ""
                if text[index + 1 : index + 2] == ")":
                    # It begins another word.
                    words.append(word)
                    word = ")"
                    index += 2
                    continue
        elif word is None and char == "#":
            index = text.index("\n", index)
        elif char in " \t\r\n;{" and not (char == "{" and word and word.endswith("$")):
            if word is not None:
                words.append(word)
                word = None
            if char == ";":
                blocks.append([words, None])
                words = []
            elif char == "{":
                stack.append((words, blocks))
                words, blocks = [], []
        elif char == "}" and word is None:
            assert not words
            inner = blocks
            words, blocks = stack.pop()
            blocks.append([words, inner])
            words = []
        else:
            if word is None:
                quote = char if char in "\"'" else ""
            word = (word or "") + char
            if char == "\\":
                index += 1
                word += text[index]
        index += 1
    assert not stack and not words and word is None and not quote
    return blocks


def words(text):
    """The words of one value."""
    (directive,) = lex(f"{text};")
    return directive[0]


def shape(tree):
    """What nginx should have read of a tree: the words, and the blocks."""
    return [[words(f"{name} {value}"), None if children is None else shape(children)] for name, value, children in tree]


def test_the_default_configuration():
    tree = planned()["conf"]
    text = printed(tree)
    assert lex(text) == shape(tree)
    assert "    include mime.types;\n" in text
    assert text.rstrip().endswith("    include conf.d/*.conf;\n}")
    assert "worker_rlimit_nofile 8704;" in text
    assert "\n\n" not in text


def test_options_replace_add_repeat_nest_and_take_away():
    text = printed(
        planned(
            nginx_main_options={"worker_shutdown_timeout": "60s", "stream": {"server": {"listen": 12345}}},
            nginx_conf_options={
                "server_tokens": True,
                "tcp_nopush": None,
                "gzip": True,
                "include": "extra/*.conf",
                "log_format": ["short '$request'", "shorter '$uri'"],
                "map $http_upgrade $connection_upgrade": {"default": "upgrade", "''": "close", "'~^a{2}$'": "${x}"},
            },
        )["conf"]
    )
    for line in (
        "worker_shutdown_timeout 60s;\n",
        "stream {\n    server {\n        listen 12345;\n    }\n}\n",
        "    server_tokens on;\n",
        "    gzip on;\n",
        "    include mime.types;\n",
        "    include extra/*.conf;\n",
        "    log_format short '$request';\n    log_format shorter '$uri';\n",
        "    map $http_upgrade $connection_upgrade {\n        default upgrade;\n        '' close;\n"
        "        '~^a{2}$' ${x};\n    }\n",
    ):
        assert line in text
    assert "tcp_nopush" not in text
    assert text.count("server_tokens") == 1


def test_keepalive_survives_a_reload_where_nginx_knows_how():
    assert "keepalive_min_timeout" in printed(planned()["conf"])
    assert "keepalive_min_timeout" not in printed(planned(nginx_version="1.26.3")["conf"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("'a", "opens a '"),
        ("'a'b", "right after a closing quote"),
        ("a\\", "ends in a backslash"),
        ("a # b", "comment"),
        ("a;b", "a bare ;"),
        ("^/a{2}$", "a bare {"),
        ("${a", "opens ${"),
        ("${;}", "no variable"),
        ("${a b}", "no variable"),
        ("}", "a bare }"),
        ("'a')#;", "a bare ;"),
        ("('a') 'b", "opens a '"),
    ],
)
def test_a_value_that_nginx_would_read_otherwise_is_refused(text, message):
    problems = []
    assert nginx_tree.directives({"x": text}, "o", problems) == []
    assert message in problems[0].message


LEGAL = {
    "if ($request_method = 'OPTIONS')": {"return": 204},
    'if ($request_method != "GET")': {"return": 405},
    "if ($request_method ~ ^(PUT|DELETE)$)": {"return": 405},
    "if ($http_user_agent !~* 'curl|wget')": {"set": ["$plain 1", "$other ''"]},
    'if ($uri ~ "^/x/[0-9]{4}$")': {"break": True},
    "if (!-f $request_filename)": {"rewrite": r"^(.*)$ /index.html last"},
    "limit_except GET POST": {"deny": "all"},
    "location ~ \\.php$": {"location = /a": {"internal": True}, "return": "404 'no'"},
    "map $uri $new": {"default": "''", "~^/a": "b"},
}
PRINTED = [
    "if ($request_method = 'OPTIONS') {",
    'if ($uri ~ "^/x/[0-9]{4}$") {',
    "break;",
    "internal;",
    "if (!-f $request_filename) {",
    "limit_except GET POST {",
]


def test_what_nginx_takes_as_a_block_is_taken():
    problems = []
    tree = nginx_tree.directives(LEGAL, "o", problems)
    assert problems == []
    text = printed(tree)
    assert lex(text) == shape(tree)
    for line in PRINTED:
        assert line in [found.strip() for found in text.splitlines()]


def test_arguments_of_blocks_may_be_keys_below_their_name():
    problems = []
    given = {"if": {"($a = 'b')": {"return": 204}, "(-d $c)": {"return": 404}}}
    given["limit_except"] = {"GET": {"deny": "all"}}
    found = [line[0] for line in nginx_tree.directives(given, "o", problems)]
    assert (found, problems) == (["if ($a = 'b')", "if (-d $c)", "limit_except GET"], [])


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("if ($uri ~ ^/a{2}$)", 'put quotes around the word: if ($uri ~ "^/a{2}$")'),
        ("location ~ ^/[0-9]{4}/", 'put quotes around the word: location ~ "^/[0-9]{4}/"'),
        ("if ($a = b) {", "leave off the {"),
        ("if ($a = 'b);", "leave off the final ;"),
        ("if ($a = 'b'c)", "put quotes around the whole word"),
        ("if ($a = # b)", "put quotes around the word, or write the comment"),
    ],
)
def test_a_block_that_is_refused_says_what_to_write(name, hint):
    problems = []
    assert nginx_tree.directives({name: {"return": 204}}, "o", problems) == []
    assert hint in problems[0].hint


@pytest.mark.parametrize("text", ["a\\;b", "'a;{}#'", '"~^/a{2,3}$"', "a#b", "${x}y", "it's", "", "0", "\\."])
def test_a_value_that_nginx_reads_as_meant_is_taken(text):
    problems = []
    assert nginx_tree.directives({"x": text}, "o", problems) == [["x", text, None]]
    assert problems == []


@given(
    st.recursive(
        st.one_of(st.text("ab$ {};#'\"\\\n.*^", max_size=8), st.booleans(), st.integers(), st.none()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text("ab$'{} ;#", max_size=5), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_what_is_taken_reads_back_as_it_was_meant(value):
    problems = []
    tree = nginx_tree.directives({"first": value, "second": "1"}, "o", problems)
    # Whatever a user writes: it is refused, or nginx sees these directives and no others.
    assert lex(printed(tree)) == shape(tree)
    assert tree[-1] == ["second", "1", None]


TEXTS = st.one_of(st.text("ab1-./: ;'\n\0é", max_size=8), st.integers(), st.booleans())


@given(st.dictionaries(st.sampled_from(sorted(OPTIONS)), TEXTS))
def test_no_input_breaks_the_plan(variables):
    problems = []
    values = spec.check(variables, OPTIONS, problems)
    if not problems:
        plan, found = plain(nginx_plan.plan(values, {}))
        assert bool(plan) != bool(found)


# -- the unit ----------------------------------------------------------------------------------------------------


def service(host=DEBIAN, **variables):
    return planned(host, **variables)["unit"]["Service"]


def names(systemd, **variables):
    return {name for name, _value in service({**DEBIAN, "systemd": systemd}, **variables)}


def test_the_unit_starts_stops_and_reloads_as_an_upgrade_on_the_fly_needs_it():
    lines = service({**DEBIAN, "systemd": 252})
    assert [value for name, value in lines if name == "ExecReload"] == [
        "/usr/sbin/nginx -t -q",
        "/usr/sbin/nginx -s reload",
    ]
    assert ["PIDFile", "/run/nginx.pid"] in lines
    assert ["KillSignal", "SIGQUIT"] in lines


@pytest.mark.parametrize(
    ("systemd", "there", "not_there"),
    [
        (219, "PrivateDevices", "ProtectKernelTunables"),
        (None, "ProtectSystem", "RestrictRealtime"),
        (239, "LockPersonality", "ProtectHostname"),
        (246, "ProtectClock", "SystemCallFilter"),
        (252, "SystemCallFilter", "ProtectHome"),
    ],
)
def test_the_unit_says_what_the_hosts_systemd_knows(systemd, there, not_there):
    assert there in names(systemd)
    assert not_there not in names(systemd)


@pytest.mark.parametrize("systemd", [219, 252, 257])
def test_the_unit_where_selinux_is_leaves_nginx_its_own_domain(systemd):
    found = {name for name, _value in service({**DEBIAN, "systemd": systemd, "selinux": True})}
    assert "NoNewPrivileges" not in found
    assert {"CapabilityBoundingSet", "RestrictAddressFamilies", "PrivateDevices"} <= found


@pytest.mark.parametrize(
    ("variables", "gone"),
    [
        ({"nginx_read_only_system": False}, "ProtectSystem"),
        ({"nginx_private_devices": False}, "PrivateDevices"),
        ({"nginx_write_execute": True}, "MemoryDenyWriteExecute"),
        ({"nginx_main_options": {"pcre_jit": True}}, "MemoryDenyWriteExecute"),
        ({"nginx_system_calls": []}, "SystemCallFilter"),
        ({"nginx_unit_options": {"ProtectProc": None}}, "ProtectProc"),
    ],
)
def test_each_part_of_the_hardening_can_be_left_out(variables, gone):
    assert names(257) - names(257, **variables) >= {gone}


def test_all_of_the_hardening_can_be_left_out():
    assert not names(257, nginx_hardening=False) & {name for name, _value, _first in nginx_unit.HARDENING}


@pytest.mark.parametrize(
    ("variables", "capability"),
    [
        ({"nginx_capabilities": ["CAP_NET_RAW"]}, "CAP_NET_RAW"),
        ({"nginx_main_options": {"worker_priority": -5}}, "CAP_SYS_NICE"),
        ({"nginx_main_options": {"quic_bpf": True}}, "CAP_BPF"),
        ({"nginx_main_options": {"stream": {"server": [{"proxy_bind": "$remote_addr transparent"}]}}}, "CAP_NET_RAW"),
    ],
)
def test_nginx_may_what_its_configuration_asks_for(variables, capability):
    assert capability not in dict(map(tuple, service()))["CapabilityBoundingSet"].split()
    assert capability in dict(map(tuple, service(**variables)))["CapabilityBoundingSet"].split()


@pytest.mark.parametrize(
    ("variables", "path"),
    [
        ({"nginx_capabilities": ["net_raw"]}, "nginx_capabilities[0]"),
        ({"nginx_system_calls": ["@system-service", "x y"]}, "nginx_system_calls[1]"),
        ({"nginx_unit_options": {"nice": 1}}, "nginx_unit_options.nice"),
        ({"nginx_unit_options": {"Nice": "1\nUser=root"}}, "nginx_unit_options.Nice"),
    ],
)
def test_what_is_no_directive_of_a_unit_is_refused(variables, path):
    assert [text.split(":")[0] for text in refused(**variables)] == [path]


def test_what_the_controller_keeps_goes_by_number_and_age_and_a_kit_is_no_cache():
    asked = {"nginx_cache_keep": 3, "nginx_cache_days": 7}
    told = planned({**DEBIAN, "builder": {"cache": "/kept", "old": ["1.28.3-0123456789ab"]}}, **asked)
    assert [told[f"cache_{name}"] for name in ("keep", "days", "old")] == [3, 7, ["1.28.3-0123456789ab"]]
    told = planned({**DEBIAN, "builder": {"cache": "/kit/nginx"}}, **asked)
    assert (told["cache_days"], told["cache_old"]) == (0, [])
