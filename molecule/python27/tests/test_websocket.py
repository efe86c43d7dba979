"""Applications on Python 2.7 whose requirements name no versions, the article's with a WebSocket among them."""

import asyncio
import json

import aiohttp
import pytest
from one_host import CHECKOUT_APPS, get, play, site

# What the role's bounds lead to; without them pip takes a Flask-SocketIO and a python-engineio that do not import.
FOUND = {"flask": "1.1.4", "flask-socketio": "4.3.2", "python-engineio": "3.13.2", "python-socketio": "4.6.1"}
CLIENTS = 30
# Below the role's own bound, and by a hash: pip of Python 2.7 would put the bound in the place of all that.
PINNED = "click==6.7 \\\n    --hash=sha256:29f99fc6125fbc931b758dc053b3114e55c77a6e4c6c3a2674a2dc986016381d\n"
PINNED_CODE = """
import click
def app(environ, start_response):
    start_response("200 OK", [])
    return [click.__version__.encode()]
"""


@pytest.fixture(scope="module")
def address(host):
    return next(found for found in host.interface("eth0").addresses if ":" not in found)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    pinned = tmp_path_factory.mktemp("pinned")
    (pinned / "manage.py").write_text(PINNED_CODE)
    (pinned / "requirements.txt").write_text(PINNED)
    icmanage = {
        "name": "icmanage",
        "source": str(CHECKOUT_APPS / "icmanage"),
        "wsgi_file": "manage.py",
        "module": "manage",
        "processes": 1,
        "gevent": 1000,
        "websocket": True,
        "requirements": "requirements.txt",
        "options": {"set-placeholder": ["project=/root/ICManage"], "http-websockets": True},
    }
    other = {"name": "pinned", "source": str(pinned), "module": "manage", "requirements": "requirements.txt"}
    sites = [site("ic.test", "icmanage"), site("pinned.test", "pinned")]
    sites[0]["locations"][0]["websocket"] = True
    status, said = play([icmanage, other], sites, publish_set="ic")
    assert status == 0, said
    return json.loads(get("ic.test")[1])


async def talk(address):
    """Clients in Engine.IO's third protocol, the one of Python 2.7, all at once; who answered each."""

    async def client(http, number):
        async with http.ws_connect(url, headers={"Host": "ic.test"}) as socket:
            while True:
                said = (await socket.receive(timeout=30)).data
                if said == "40":
                    await socket.send_str(f'42["say", "from {number}"]')
                elif said.startswith("42"):
                    _name, told = json.loads(said[2:])
                    if told["text"] == f"from {number}":
                        return told["pid"]

    url = f"http://{address}/socket.io/?EIO=3&transport=websocket"
    async with aiohttp.ClientSession() as http:
        return await asyncio.gather(*(client(http, number) for number in range(CLIENTS)))


def test_requirements_without_versions_are_what_python_2_7_can_run(published):
    assert (published["python"], published["mode"]) == ("2.7", "gevent_uwsgi")
    assert {name: published["packages"].get(name) for name in FOUND} == FOUND


def test_many_clients_talk_over_websockets(published, address):
    assert asyncio.run(talk(address)) == [published["pid"]] * CLIENTS


def test_what_requirements_pin_comes_before_the_roles_bounds(published):
    assert get("pinned.test") == (200, "6.7")
