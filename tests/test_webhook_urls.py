"""Where webhooks may go: the public internet alone, in every spelling of an address."""

import pytest

from app.services import webhook_urls
from app.services.webhook_urls import WebhookUrlRefused

NOT_PUBLIC = "address_not_public"
INVALID = "url_invalid"

REFUSED = {
    # This host
    "https://127.0.0.1/": NOT_PUBLIC,
    "https://127.8.9.10/": NOT_PUBLIC,
    "https://127.0.0.1./": NOT_PUBLIC,
    "https://0.0.0.0/": NOT_PUBLIC,
    "https://[::1]/": NOT_PUBLIC,
    "https://[0:0:0:0:0:0:0:1]/": NOT_PUBLIC,
    "https://[::]/": NOT_PUBLIC,
    "https://localhost/": NOT_PUBLIC,
    "https://LOCALHOST/": NOT_PUBLIC,
    "https://localhost./": NOT_PUBLIC,
    "https://app.localhost/": NOT_PUBLIC,
    # The same in spellings that some programs take for addresses
    "https://127.1/": INVALID,
    "https://127.0.1/": INVALID,
    "https://2130706433/": INVALID,
    "https://0x7f.1/": INVALID,
    "https://0x7f000001/": INVALID,
    "https://0x7F.0.0.0x1/": INVALID,
    "https://0177.0.0.1/": INVALID,
    "https://017700000001/": INVALID,
    "https://127.0.0.01/": INVALID,
    "https://0/": INVALID,
    "https://1.2.3.4.5/": INVALID,
    "https://256.1.1.1/": INVALID,
    "https://host.0x/": INVALID,
    "https://host.08/": INVALID,
    "https://\uff11\uff12\uff17.\uff10.\uff10.\uff11/": NOT_PUBLIC,
    "https://127\u30020\u30020\u30021/": NOT_PUBLIC,
    "https://\u24db\u24de\u24d2alhost/": NOT_PUBLIC,
    # Networks of our own
    "https://10.0.0.1/": NOT_PUBLIC,
    "https://172.16.0.1/": NOT_PUBLIC,
    "https://172.31.255.255/": NOT_PUBLIC,
    "https://192.168.1.1/": NOT_PUBLIC,
    "https://100.64.0.1/": NOT_PUBLIC,
    "https://[fd00::1]/": NOT_PUBLIC,
    "https://[fe80::1]/": NOT_PUBLIC,
    "https://[fe80::1%25eth0]/": NOT_PUBLIC,
    "https://[fec0::1]/": NOT_PUBLIC,
    "https://printer.local/": NOT_PUBLIC,
    "https://vault.internal/": NOT_PUBLIC,
    "https://router.home.arpa/": NOT_PUBLIC,
    "https://intranet/": NOT_PUBLIC,
    # What clouds tell their own machines
    "https://169.254.169.254/latest/meta-data/": NOT_PUBLIC,
    "https://[fd00:ec2::254]/": NOT_PUBLIC,
    "https://100.100.100.200/": NOT_PUBLIC,
    "https://168.63.129.16/": NOT_PUBLIC,
    "https://192.0.0.192/": NOT_PUBLIC,
    "https://metadata.google.internal/": NOT_PUBLIC,
    # Neither private nor for one receiver
    "https://192.0.2.1/": NOT_PUBLIC,
    "https://198.18.0.1/": NOT_PUBLIC,
    "https://198.51.100.1/": NOT_PUBLIC,
    "https://203.0.113.1/": NOT_PUBLIC,
    "https://192.88.99.1/": NOT_PUBLIC,
    "https://224.0.0.1/": NOT_PUBLIC,
    "https://224.0.1.1/": NOT_PUBLIC,
    "https://239.255.255.255/": NOT_PUBLIC,
    "https://240.0.0.1/": NOT_PUBLIC,
    "https://255.255.255.255/": NOT_PUBLIC,
    "https://[ff02::1]/": NOT_PUBLIC,
    "https://[ff0e::1]/": NOT_PUBLIC,
    "https://[2001:db8::1]/": NOT_PUBLIC,
    "https://[3fff::1]/": NOT_PUBLIC,
    "https://[100::1]/": NOT_PUBLIC,
    "https://[5f00::1]/": NOT_PUBLIC,
    # IPv6 around an IPv4 address
    "https://[::ffff:127.0.0.1]/": NOT_PUBLIC,
    "https://[::ffff:7f00:1]/": NOT_PUBLIC,
    "https://[::ffff:8.8.8.8]/": NOT_PUBLIC,
    "https://[::127.0.0.1]/": NOT_PUBLIC,
    "https://[::7f00:1]/": NOT_PUBLIC,
    "https://[64:ff9b::7f00:1]/": NOT_PUBLIC,
    "https://[64:ff9b::10.0.0.1]/": NOT_PUBLIC,
    "https://[64:ff9b::169.254.169.254]/": NOT_PUBLIC,
    "https://[64:ff9b:1::808:808]/": NOT_PUBLIC,
    "https://[2002:7f00:1::]/": NOT_PUBLIC,
    "https://[2002:808:808::]/": NOT_PUBLIC,
    "https://[2001:0:7f00:1::]/": NOT_PUBLIC,
    # More than a host and a path
    "https://user:pass@example.org/": "url_has_credentials",
    "https://user@example.org/": "url_has_credentials",
    "https://@example.org/": "url_has_credentials",
    "https://example.org@127.0.0.1/": "url_has_credentials",
    "https://example.org/#fragment": "url_has_fragment",
    "https://example.org/#": "url_has_fragment",
    "https://example.org:22/": "url_port",
    "https://example.org:25/": "url_port",
    "https://example.org:80/": "url_port",
    "https://example.org:8443/": "url_port",
    "https://example.org:0/": "url_port",
    "https://example.org:65536/": INVALID,
    "https://example.org:https/": INVALID,
    "http://example.org/": "url_not_https",
    "gopher://example.org/": "url_not_https",
    "ftp://example.org/": "url_not_https",
    "wss://example.org/": "url_not_https",
    "//example.org/": "url_not_https",
    "file:///etc/passwd": INVALID,
    "javascript:alert(1)": INVALID,
    "example.org": INVALID,
    "": INVALID,
    "https://": INVALID,
    "https:///path": INVALID,
    "https://example.org/" + "a" * 1981: "url_too_long",
    # What programs read differently
    "https://example.org\\@127.0.0.1/": INVALID,
    "https://example.org/a b": INVALID,
    "https://example.org\n.evil.example/": INVALID,
    "https://example.org/\r\nX: y": INVALID,
    "https://exam\tple.org/": INVALID,
    " https://example.org/": INVALID,
    "https://example.org/\x7f": INVALID,
    "https://example.org/\u00e9": INVALID,
    "https://exam%70le.org/": INVALID,
    "https://[::1/": INVALID,
    "https://::1/": INVALID,
    "https://[v1.a]/": INVALID,
    "https://[example.org]/": INVALID,
    "https://-example.org/": INVALID,
    "https://example..org/": INVALID,
    "https://.example.org/": INVALID,
    "https://" + "a" * 64 + ".example/": INVALID,
    "https://" + "a." * 127 + "example/": INVALID,
}


@pytest.mark.parametrize("url", REFUSED)
def test_url_is_refused_and_said_why(url: str) -> None:
    with pytest.raises(WebhookUrlRefused) as refused:
        webhook_urls.checked(url, loopback=False)
    [error] = refused.value.errors
    assert (error["pointer"], error["code"]) == ("/url", REFUSED[url])


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://example.org", "https://example.org/"),
        ("HTTPS://Hooks.EXAMPLE.org:443/A?b=%20&c=@", "https://hooks.example.org/A?b=%20&c=@"),
        ("https://example.org./x", "https://example.org/x"),
        ("https://b\u00fccher.example/x", "https://xn--bcher-kva.example/x"),
        ("https://under_score.example.org/", "https://under_score.example.org/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://[2606:4700:0:0:0:0:0:1111]/", "https://[2606:4700::1111]/"),
        ("https://[64:ff9b::8.8.8.8]/", "https://[64:ff9b::808:808]/"),
        ("https://example.org/" + "a" * 1980, "https://example.org/" + "a" * 1980),
    ],
)
def test_public_url_is_kept_in_its_one_form(url: str, kept: str) -> None:
    assert webhook_urls.checked(url, loopback=False) == kept
    assert webhook_urls.checked(kept, loopback=False) == kept


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9000/x", "http://localhost:1/", "https://[::1]:5/", "https://example.org/"],
)
def test_development_may_send_to_its_own_host(url: str) -> None:
    assert webhook_urls.checked(url, loopback=True) == url


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://example.org/", "url_not_https"),
        ("https://example.org:8443/", "url_port"),
        ("ftp://127.0.0.1/", "url_not_https"),
        ("http://10.0.0.1/", NOT_PUBLIC),
        ("http://169.254.169.254/", NOT_PUBLIC),
        ("http://[::ffff:127.0.0.1]/", NOT_PUBLIC),
        ("http://2130706433/", INVALID),
        ("http://user@127.0.0.1/", "url_has_credentials"),
    ],
)
def test_development_may_send_nowhere_else(url: str, code: str) -> None:
    with pytest.raises(WebhookUrlRefused) as refused:
        webhook_urls.checked(url, loopback=True)
    assert refused.value.errors[0]["code"] == code


def test_what_is_no_address_is_no_public_one() -> None:
    for text in ("", "localhost", "8.8.8", "fe80::1%eth0", "2606:4700::1111%1", "8.8.8.8/32"):
        assert not webhook_urls.is_public(text)
    assert webhook_urls.is_allowed("127.0.0.1", loopback=True)
    assert not webhook_urls.is_allowed("127.0.0.1", loopback=False)
    assert not webhook_urls.is_allowed("10.0.0.1", loopback=True)
