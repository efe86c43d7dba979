"""Names as browsers send them."""

import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import dns_names

SENT = [
    ("müller.test", "xn--mller-kva.test"),
    ("MÜLLER.Test", "xn--mller-kva.test"),
    ("mu\u0308ller.test", "xn--mller-kva.test"),
    ("www.bücher.example", "www.xn--bcher-kva.example"),
    # Where Python's codec of 2003 asks for strasse.test, browsers ask for another name.
    ("straße.test", "xn--strae-oqa.test"),
    ("STRAẞE.test", "xn--strae-oqa.test"),
    ("STRASSE.test", "strasse.test"),
    ("ΣΊΣΥΦΟΣ.test", "xn--kxa6akbbkh.test"),
    ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
    ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
    ("ａbc.test", "abc.test"),
    ("i❤.test", "xn--i-7iq.test"),
    ("*.müller.test", "*.xn--mller-kva.test"),
    (".müller.test", ".xn--mller-kva.test"),
    ("müller.*", "xn--mller-kva.*"),
    ("XN--MLLER-KVA.test", "xn--mller-kva.test"),
    ("Case.Test", "case.test"),
    ("dot.test.", "dot.test"),
    ("dôt.test.", "xn--dt-8ja.test"),
    ("_", "_"),
    ("", ""),
]


@pytest.mark.parametrize(("name", "sent"), SENT)
def test_a_name_as_it_is_sent(name, sent):
    assert dns_names.encoded(name) == sent
    assert dns_names.encoded(sent) == sent


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mü ller.test", "can be in no name|more than letters"),
        ("mü/ller.test", "more than letters"),
        ("mü\u200dller.test", "no name"),
        ("mü\u2028ller.test", "no name"),
        ("mü..test", "nothing between two dots"),
        ("\u0308a.test", "begins with a mark"),
        ("ü" * 60 + ".test", "too long"),
        ("*ü.test", r"a \* beside letters"),
    ],
)
def test_what_is_no_name_is_refused(name, message):
    with pytest.raises(dns_names.NoName, match=message):
        dns_names.encoded(name)


def test_regular_expressions_and_variables_are_nginx_s():
    assert dns_names.server_name(r"~^(www\.)?Shop\.test$") == r"~^(www\.)?Shop\.test$"
    assert dns_names.server_name("$hostname") == "$hostname"
    with pytest.raises(dns_names.NoName, match="müller is sent as xn--mller-kva"):
        dns_names.server_name(r"~^(www\.)?müller\.test$")


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("https://müller.test/a", "https://xn--mller-kva.test/a"),
        ("https://Müller.test:8443/straße?q=ü", "https://xn--mller-kva.test:8443/stra%C3%9Fe?q=%C3%BC"),
        ("301 https://müller.test$request_uri", "301 https://xn--mller-kva.test$request_uri"),
        ("/a/ü", "/a/%C3%BC"),
        ("http://unix:/run/x.sock:/", "http://unix:/run/x.sock:/"),
        ("http://[fd00::1]:80/", "http://[fd00::1]:80/"),
    ],
)
def test_addresses(text, sent):
    assert dns_names.address(text) == sent


def test_hosts_with_a_port():
    assert dns_names.host_port("müller.test:80") == "xn--mller-kva.test:80"
    assert dns_names.host_port("müller.test") == "xn--mller-kva.test"
    assert dns_names.host_port("unix:/run/ü.sock") == "unix:/run/ü.sock"
