"""Whose network an address is in."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from istmo.detect.wire import WireSource

Address = IPv4Address | IPv6Address


class Networks:
    """The networks of all sources. Of several that hold an address the smallest one counts."""

    def __init__(self, sources: Iterable[WireSource]) -> None:
        by_length: dict[tuple[int, int], dict[int, WireSource]] = {}
        for source in sources:
            for text in source.addresses:
                try:
                    network = ip_network(text, strict=False)
                except ValueError:  # the web process checked it; a list must not fall for one
                    continue
                size = network.max_prefixlen - network.prefixlen
                same = by_length.setdefault((network.version, size), {})
                same.setdefault(int(network.network_address) >> size, source)
        self._by_length = sorted(by_length.items(), key=lambda one: one[0])

    def find(self, text: str) -> WireSource | None:
        """The source of an address; None where no network holds it, or it is none."""
        address = read_address(text)
        if address is None:
            return None
        number = int(address)
        for (version, size), networks in self._by_length:
            if version == address.version and (source := networks.get(number >> size)) is not None:
                return source
        return None


def read_address(text: str) -> Address | None:
    """An address as a socket tells it: without its scope, IPv4 inside IPv6 as IPv4."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
