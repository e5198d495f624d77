"""Whose address is it: of this machine, of a trusted proxy, of one client among many."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_loopback(host: str) -> bool:
    """Whether a host, by address or as localhost, is reachable from this machine only."""
    if host.lower() == "localhost":
        return True
    found = address_of(host.removeprefix("[").removesuffix("]"))
    return found is not None and found.is_loopback


def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a text spells, or None; one of IPv4 written as IPv6 is of IPv4."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def is_among(text: str, networks: Sequence[Network]) -> bool:
    """Whether an address lies in any of the networks."""
    found = address_of(text)
    return found is not None and any(found in network for network in networks)


def subscriber(text: str) -> str:
    """Who counts as one client: an IPv4 address or an IPv6 /64, which one subscriber holds."""
    found = address_of(text)
    if isinstance(found, ipaddress.IPv6Address):
        return f"{int(found) >> 64:016x}/64"
    return text if found is None else str(found)
