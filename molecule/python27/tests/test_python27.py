"""This host has nothing but Python 2.7 for Ansible, and the modules' unit tests pass on it."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
TESTS = "tests/unit/plugins/module_utils/any_python"
# The last pytest for Python 2.7, and what of its dependencies would not pin itself.
PYTEST = "pytest==4.6.11"


def packed():
    """What the tests need of the checkout, as a tar file."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for path in ("plugins/module_utils", "tests/unit/conftest.py", TESTS):
            archive.add(CHECKOUT / path, path, filter=lambda member: None if "__pycache__" in member.name else member)
    return target.getvalue()


def test_modules_and_applications_run_on_python_2(host):
    assert host.ansible("ansible.builtin.setup", "filter=ansible_python_version")["ansible_facts"][
        "ansible_python_version"
    ].startswith("2.7.")
    assert '"python":"2.7"' in host.check_output(
        "python3 -c 'import urllib.request as r;"
        ' print(r.urlopen(r.Request("http://127.0.0.1/", headers={"Host": "live.test"})).read().decode())\''
    )


def test_unit_tests(host):
    name = host.backend.get_hostname()
    host.check_output("rm -rf /var/tmp/checkout && mkdir /var/tmp/checkout")
    subprocess.run(["docker", "cp", "-", f"{name}:/var/tmp/checkout"], input=packed(), check=True)
    python = "/opt/uwsgi/current/bin/python"
    host.check_output(f"PIP_CERT=/etc/ssl/certs/ca-certificates.crt {python} -m pip install -q {PYTEST}")
    ran = host.run(
        f"cd /var/tmp/checkout && LC_ALL=C.UTF-8 {python} -B -m pytest"
        f" -q -p no:cacheprovider -c /dev/null --rootdir . {TESTS}"
    )
    assert ran.rc == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    assert " passed" in ran.stdout
    assert " skipped" not in ran.stdout


def test_a_newer_ansible_says_which_one_to_take(host):
    """Of the checkout's two Ansibles the one that the other scenarios run under."""
    ran = subprocess.run(
        [
            CHECKOUT / ".venv/bin/ansible-playbook",
            f"--inventory={Path(os.environ['MOLECULE_INVENTORY_FILE']).parent}",
            "playbooks/site.yml",
        ],
        cwd=CHECKOUT,
        env=os.environ
        | {"ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert "changed=0" in ran.stdout
    python3 = host.check_output("readlink -f /usr/bin/python3").rsplit("/", 1)[-1]
    assert f"The one that was taken is older: set ansible_python_interpreter: /usr/bin/{python3}" in ran.stdout
