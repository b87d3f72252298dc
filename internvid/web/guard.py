"""Restricts the connections of a process to public addresses: not this machine, its network, or through a program.

An audit hook checks every connection of Python, whichever library makes it, at the resolved address: this covers
redirects, and names that resolve differently the second time. It cannot check where a proxy connects to, nor what
compiled libraries and other programs do; therefore programs that are given a URL are refused.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from internvid.web.errors import RefusedAddress

_allowed: tuple[IPv4Network | IPv6Network, ...] | None = None  # None: nothing is guarded
_NAT64 = IPv6Network("64:ff9b::/96")  # IPv4 addresses as IPv6: RFC 6052
_CONNECTIONS = ("socket.connect", "socket.sendto", "socket.sendmsg")
_PROGRAMS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system")


def reach_only_public_addresses(allowed: Sequence[str]) -> None:
    """Makes connections to other addresses raise RefusedAddress, in this process and from now on.

    Call it in a process of its own: the guard cannot be removed, though a later call may allow other addresses.
    allowed: networks (10.1.0.0/16) or addresses that are not public but may be reached, such as a proxy's.
    Raises ValueError for an entry that is neither.
    """
    global _allowed
    networks = tuple(ip_network(text) for text in allowed)
    if _allowed is None:
        sys.addaudithook(_audit)
    _allowed = networks


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address is on the public Internet. An IPv4 address embedded in an IPv6 address decides for it."""
    address = _effective_address(address)
    return address.is_global and not address.is_multicast


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _CONNECTIONS:
        _, address = arguments[:2]
        if isinstance(address, tuple):  # else a Unix socket, or a socket that is connected already
            _check(str(address[0]))
    elif event == "ftplib.connect":
        raise RefusedAddress(f"ftp://{arguments[1]} was refused: only http and https URLs are opened")
    elif event in _PROGRAMS and (url := _first_url(arguments)):
        raise RefusedAddress(f"a program was refused that would have opened {url[:200]} by itself: it is not watched")


def _check(host: str) -> None:
    try:
        address = _effective_address(ip_address(host))
    except ValueError:
        raise RefusedAddress(f"{host[:200]} was refused: where it is was not looked up before") from None
    if any(address in network for network in _allowed or ()) or is_public(address):
        return
    raise RefusedAddress(f"{host} was refused: it is no public address, and not among those allowed")


def _effective_address(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Returns the IPv4 address that an IPv6 address embeds, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None) or address


def _first_url(arguments: Any) -> str | None:
    """Returns the first URL among the words of a command, at any depth of nesting."""
    match arguments:
        case bytes():
            return _first_url(arguments.decode(errors="replace"))
        case str():
            return arguments if "://" in arguments else None
        case list() | tuple():
            return next(filter(None, map(_first_url, arguments)), None)
    return None  # also for the environment, which may hold a proxy's URL
