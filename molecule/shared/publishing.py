"""Runs of Ansible, as the tests of several scenarios make them."""

import json
import os
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
WHOAMI = CHECKOUT / "tests/apps/whoami"


def inventory():
    return Path(os.environ["MOLECULE_INVENTORY_FILE"]).parent


def environment(**more):
    """For a run of Ansible by itself."""
    # molecule has Ansible colour what it says where it thinks that somebody watches.
    settings = {"ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "1"}
    settings["ANSIBLE_CONFIG"] = str(CHECKOUT / "ansible.cfg")
    return os.environ | settings | more


def ansible(command, *arguments, **settings):
    """Status and words of an Ansible command against the scenario's hosts."""
    ran = subprocess.run(
        [command, f"--inventory={inventory()}", *arguments],
        cwd=CHECKOUT,
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


def deploy(source, **settings):
    """Run the publish role with the shop's code from this folder; returns its status and what it said."""
    more = json.dumps({"shop_source": str(source), **settings})
    return ansible("ansible-playbook", f"--extra-vars={more}", "molecule/reload/deploy.yml")
