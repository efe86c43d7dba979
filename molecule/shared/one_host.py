"""What scenarios with one host share: commands on it, and plays with variables of their own."""

import json
import os
import shlex
import subprocess
import tempfile

import publishing
import second_nginx

HOST = os.environ.get("TRIAL_HOST") or "graceful-" + os.environ.get("MOLECULE_SCENARIO_NAME", "hostile")
WHOAMI = publishing.WHOAMI
CHECKOUT_APPS = publishing.CHECKOUT / "tests/apps"


def sh(command, user="root", host=HOST, check=True, timeout=120):
    """What a shell command on the host printed (stdout and stderr), as an account of it; fails with it unless told."""
    words = ["docker", "exec", "-i", "-u", user, "-w", "/", host, "sh", "-c", command]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)
    if check and ran.returncode:
        raise AssertionError(f"{command}: status {ran.returncode}\n{ran.stdout}{ran.stderr}")
    return ran.stdout + ran.stderr


def put(path, text, owner="root:root", mode="0644"):
    """Write a file on the host, with its folders."""
    where = shlex.quote(path)
    command = f"mkdir -p {shlex.quote(os.path.dirname(path))} && cat > {where}"
    command += f" && chown {owner} {where} && chmod {mode} {where}"
    subprocess.run(["docker", "exec", "-i", HOST, "sh", "-c", command], input=text, text=True, check=True)


def play(apps=(), sites=(), words=(), playbook="playbooks/site.yml", **variables):
    """Run the main job with these applications and sites (and variables); its status and all that it said."""
    # Each test has names of its own for the same set.
    given = {"publish_set": "trial", "publish_replace": True, "publish_apps": list(apps), "publish_sites": list(sites)}
    given.update(variables)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(given, file)
        file.flush()
        status, said = publishing.ansible("ansible-playbook", f"--extra-vars=@{file.name}", *words, playbook)
    if status == 0:
        # Whatever a play leaves on the host, a newer nginx takes it too.
        second_nginx.check(HOST)
    return status, said


def app(name, **more):
    """The application that says who it is, from the controller's folder."""
    code = {} if {"path", "archive", "repo"} & set(more) else {"source": str(WHOAMI)}
    return {"name": name, "module": "manage", "requirements": "requirements.txt", **code, **more}


def site(name, application, **more):
    return {"server_name": [name], "locations": [{"path": "/", "app": application}], **more}


def get(name, path="/", words=""):
    """Status and text of a page, as a visitor gets it."""
    ask = (
        "import http.client, sys\n"
        "c = http.client.HTTPConnection('127.0.0.1', 80, timeout=20)\n"
        f"c.request('GET', {path!r}, headers={{'Host': {name!r}}})\n"
        "a = c.getresponse(); print(a.status); sys.stdout.write(a.read().decode('utf-8', 'replace'))\n"
    )
    status, _line, text = sh(f"python3 -c {shlex.quote(ask)}").partition("\n")
    return int(status), text
