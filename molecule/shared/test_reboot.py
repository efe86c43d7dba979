"""A host that is shut down and booted serves all that it served, and a run after that has nothing to change."""

import contextlib
import http.client
import re
import socket
import ssl
import subprocess

import publishing

PLAYBOOK = "molecule/shared/converge.yml"


def docker(*words, limit=120):
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True, timeout=limit).stdout


def served(name):
    """[(server name, port, TLS)] of every server that nginx has and a visitor can name."""
    found = []
    for block in re.split(r"^\s*server \{$", docker("exec", name, "/usr/sbin/nginx", "-T"), flags=re.MULTILINE)[1:]:
        names = " ".join(re.findall(r"^\s*server_name ([^;]*);", block, re.MULTILINE)).split()
        names = [one for one in names if re.fullmatch(r"[\w-]+(\.[\w-]+)+", one)]
        for listen in re.findall(r"^\s*listen ([^;]*);", block, re.MULTILINE):
            words = listen.split()
            if words[0].isdigit() and not {"quic", "udp", "proxy_protocol"} & set(words):
                found += [(one, int(words[0]), "ssl" in words) for one in names]
    return found


def status(address, server_name, port, tls):
    """Of the page that somebody outside of the host gets by this name."""
    with contextlib.closing(socket.create_connection((address, port), 30)) as link:
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            link = context.wrap_socket(link, server_hostname=server_name)
        link.sendall(f"GET / HTTP/1.1\r\nHost: {server_name}\r\nConnection: close\r\n\r\n".encode())
        answer = http.client.HTTPResponse(link)
        try:
            answer.begin()
        except http.client.RemoteDisconnected:
            # As `return 444` does it.
            return 444
        return answer.status


def answers(name, sites):
    address = docker("exec", name, "hostname", "-I").split()[0]
    return {site: status(address, *site) for site in sites}


def test_reboot(host):
    name = host.backend.get_hostname()
    failed, said = publishing.ansible("ansible-playbook", f"--limit={name}", PLAYBOOK)
    assert not failed, said
    sites = served(name)
    before = answers(name, sites)
    assert before and min(before.values()) < 400 and max(before.values()) < 500, before
    docker("exec", name, "systemctl", "poweroff")
    docker("wait", name)
    booted = subprocess.run(
        [publishing.CHECKOUT / "tests/images/host", name, "as it is"], capture_output=True, text=True, check=False
    )
    assert booted.returncode == 0 and "started" in booted.stdout, booted
    assert answers(name, sites) == before
    failed, said = publishing.ansible("ansible-playbook", f"--limit={name}", PLAYBOOK)
    assert not failed, said
    assert re.search(rf"(?m)^{re.escape(name)} .*changed=0 .*unreachable=0 .*failed=0 ", said), said
