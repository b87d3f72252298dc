"""Keeps a process that reads the web from reaching what is not the web: this machine, its network, and programs that
would go there for it.

It sees every connection of Python, whichever library makes it, at the address that the name resolved to: redirects and
names that resolve to something else the second time are seen, too. It does not see where a proxy connects to, nor what
compiled libraries and other programs do; so programs are not given addresses.
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
    """From now on, in this process, connections elsewhere raise RefusedAddress. For processes made for the purpose:
    there is no way back, though a later call may allow others.

    allowed: networks (10.1.0.0/16) or addresses that may be reached although they are not public, a proxy's among them.
    Raises ValueError for one that is neither.
    """
    global _allowed
    networks = tuple(ip_network(text) for text in allowed)
    if _allowed is None:
        sys.addaudithook(_watch)
    _allowed = networks


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is an address of the Internet's machines; of those that hold an IPv4 address, whether that is."""
    address = _meant(address)
    return address.is_global and not address.is_multicast


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _CONNECTIONS:
        _, address = arguments[:2]
        if isinstance(address, tuple):  # else a socket of this machine's file system, or one that is connected
            _check(str(address[0]))
    elif event == "ftplib.connect":
        raise RefusedAddress(f"ftp://{arguments[1]} was refused: only http and https URLs are opened")
    elif event in _PROGRAMS and (url := _first_url(arguments)):
        raise RefusedAddress(f"a program was refused that would have opened {url[:200]} by itself: it is not watched")


def _check(host: str) -> None:
    try:
        address = _meant(ip_address(host))
    except ValueError:
        raise RefusedAddress(f"{host[:200]} was refused: where it is was not looked up before") from None
    if any(address in network for network in _allowed or ()) or is_public(address):
        return
    raise RefusedAddress(f"{host} was refused: it is no public address, and not among those allowed")


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for, or itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None) or address


def _first_url(arguments: Any) -> str | None:
    """Among the words of a command, however deep they lie."""
    match arguments:
        case bytes():
            return _first_url(arguments.decode(errors="replace"))
        case str():
            return arguments if "://" in arguments else None
        case list() | tuple():
            return next(filter(None, map(_first_url, arguments)), None)
    return None  # the environment among them: proxies stand there
