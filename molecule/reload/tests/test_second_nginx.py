"""What the scenario has published so far, taken by a newer nginx than the one that serves it."""

import pytest
import second_nginx


@pytest.mark.parametrize("container", ["graceful-reload"])
def test_a_newer_nginx_takes_the_configuration_and_warns_of_nothing(container):
    second_nginx.check(container)
