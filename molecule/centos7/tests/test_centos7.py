"""The host is a CentOS 7 that takes its packages from an archive; the rest are the tests of the scenario default."""


def test_it_is_what_it_is_taken_for(host):
    assert host.file("/etc/centos-release").content_string.startswith("CentOS Linux release 7.")
    assert host.check_output("systemctl --version").split()[:2] == ["systemd", "219"]
    assert host.ansible("ansible.builtin.setup", "filter=ansible_python_version")["ansible_facts"][
        "ansible_python_version"
    ].startswith("2.7.5")


def test_no_repository_in_use_has_a_mirror_list(host):
    listed = host.check_output("yum --quiet --noplugins repolist --verbose enabled")
    assert {"base", "updates", "extras"} <= {
        line.partition(": ")[2].split("/")[0] for line in listed.splitlines() if line.startswith("Repo-id")
    }
    assert "Repo-mirrors" not in listed and "Repo-metalink" not in listed


def test_the_original_is_beside_it(host):
    kept = host.file("/etc/yum.repos.d/CentOS-Base.repo.before-graceful-wsgi").content_string
    now = host.file("/etc/yum.repos.d/CentOS-Base.repo").content_string
    assert "mirrorlist=" in kept.split("[base]")[1].split("[updates]")[0]
    assert "mirrorlist=" not in now.split("[base]")[1].split("[updates]")[0]
    assert "gpgcheck=1" in now.split("[base]")[1].split("[updates]")[0]


def test_yum_installs_what_is_signed(host):
    host.run_expect([0], "yum --quiet --assumeyes reinstall make")
