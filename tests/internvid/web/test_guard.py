"""Which connections the guard allows and refuses. In child processes, because it cannot be removed."""

import socket
import subprocess
import sys
import urllib.request
from ipaddress import ip_address

import pytest
from web_server import File, Redirect, web_server

from internvid.web.errors import RefusedAddress
from internvid.web.guard import is_public, reach_only_public_addresses


def read(url: str, allowed: tuple[str, ...]) -> int:
    reach_only_public_addresses(allowed)
    with urllib.request.urlopen(url, timeout=10) as answer:
        return len(answer.read())


def connect(host: str) -> None:
    """Connects without resolving the name first, as compiled code might."""
    reach_only_public_addresses(())
    with socket.socket() as tried:
        tried.connect((host, 80))


def send(host: str) -> None:
    reach_only_public_addresses(())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tried:
        tried.sendto(b"x", (host, 53))


def run(*command: str) -> str:
    reach_only_public_addresses(())
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_only_the_addresses_that_are_allowed_are_reached(in_child, server, video):
    url = server.add("/video.mp4", File(video))
    assert in_child(read, url, ("127.0.0.1/32",)) == video.stat().st_size
    with pytest.raises(RefusedAddress, match=r"127\.0\.0\.1 was refused: it is no public address"):
        in_child(read, url, ())
    with pytest.raises(RefusedAddress, match="was refused"):  # where it leads is known only once it was looked up
        in_child(read, url.replace("127.0.0.1", "localhost"), ("10.0.0.0/8",))
    assert len(server.requests) == 1


def test_a_redirect_to_another_host_of_this_machine_is_refused_before_it_is_asked(in_child, server, video):
    with web_server("127.0.0.2") as inner:
        inner.add("/secret.mp4", File(video))
        url = server.add("/video.mp4", Redirect(f"{inner.url}/secret.mp4"))
        with pytest.raises(RefusedAddress, match=r"127\.0\.0\.2 was refused"):
            in_child(read, url, ("127.0.0.1/32",))
        assert inner.requests == []
        assert in_child(read, url, ("127.0.0.0/8",)) == video.stat().st_size


def test_names_that_were_not_looked_up_are_refused(in_child):
    for host in ("localhost", "127.1"):
        with pytest.raises(RefusedAddress, match="not looked up"):
            in_child(connect, host)


def test_datagrams_are_guarded_too(in_child):
    with pytest.raises(RefusedAddress):
        in_child(send, "127.0.0.1")


def test_programs_run_but_are_given_no_address(in_child):
    assert in_child(run, sys.executable, "-c", "print('here')") == "here\n"
    with pytest.raises(RefusedAddress, match="a program was refused that would have opened"):
        in_child(run, sys.executable, "-c", "pass", "https://example.com/a.m3u8")


@pytest.mark.parametrize("address", ["10.1.2.3", "169.254.169.254", "192.168.0.1", "100.64.0.1"])
def test_addresses_of_other_machines_that_are_not_the_internets_are_refused(in_child, address):
    with pytest.raises(RefusedAddress, match="it is no public address"):
        in_child(connect, address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.0.1",
        "100.64.0.1",
        "169.254.169.254",  # where clouds keep credentials
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",  # 127.0.0.1 through NAT64
        "2002:7f00:1::",  # 127.0.0.1 through 6to4
    ],
)
def test_addresses_that_are_not_the_internets(address):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "142.250.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_of_the_internet(address):
    assert is_public(ip_address(address))


def test_what_is_no_network_is_told(in_child):
    with pytest.raises(ValueError, match="not appear to be"):
        in_child(reach_only_public_addresses, ("localhost",))
