"""What the tests of the default scenario share: requests as a client outside the host makes them."""

import pytest
import requests


class Site:
    """A host's nginx, asked from outside by its address, for whatever server name."""

    def __init__(self, host):
        addresses = host.interface("eth0").addresses
        self.address = next(address for address in addresses if ":" not in address)

    def get(self, server_name, path="/", port=80):
        return requests.get(
            f"http://{self.address}:{port}{path}",
            headers={"Host": server_name},
            allow_redirects=False,
            timeout=10,
        )


@pytest.fixture
def site(host):
    return Site(host)
