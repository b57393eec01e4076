"""Which addresses media may be fetched from: no task may send the backend into its own network."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import SplitResult, urlsplit

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from backend.errors import MediaError
from backend.labelstudio.lines import Line

Origin = tuple[str, str, int]
AddressCheck = Callable[[str, int, str], None]

_PORTS = {"http": 80, "https": 443}

# Where clouds keep credentials beside the link-local networks.
_METADATA = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "168.63.129.16", "fd00:ec2::254")))
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def origin(url: str) -> Origin:
    """Scheme, lower-case host and port of an http(s) address.

    Raises:
        MediaError: another scheme, no host, a bad port, or a user name and password in the address.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise MediaError(f"{shown(url)} is not an address: {error}") from None
    if parts.scheme not in _PORTS:
        raise MediaError(
            f"{shown(url)}: only http and https addresses are fetched, not {parts.scheme or 'a bare path'!r}"
        )
    if not host:
        raise MediaError(f"{shown(url)}: the address names no host")
    if parts.username is not None or parts.password is not None:
        raise MediaError(f"{shown(url)}: a user name or password in an address is not accepted; leave it out")
    return parts.scheme, host.rstrip("."), port or _PORTS[parts.scheme]


def shown(url: str) -> str:
    """The address as messages and logs may show it: no user, password, query (signatures) or fragment."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "the address"
    return SplitResult(parts.scheme, host, parts.path, "", "").geturl() or "the address"


def unsigned(value: str) -> str:
    """A task's value as messages, logs and pages may show it: an address as :func:`shown`, a path without what looks
    like a query, which may sign it; a file's name may well hold a question mark."""
    if "://" in value or value.startswith("//"):
        return shown(value)
    path, _, query = value.partition("?")
    return path if "=" in query else value


def same_site(ours: Origin, theirs: Origin) -> bool:
    """Whether two origins are one site: equal, or the same host reached by TLS on its standard port."""
    upgraded = ours[0] == "http" and ours[2] == 80 and theirs == ("https", ours[1], 443)
    return theirs == ours or upgraded


class HostRules:
    """The hosts that may be asked, decided for every address and again for every redirect.

    ``allowed`` entries are ``host`` (any port) or ``host:port``. Hosts somebody configured may lie on any network;
    one that was only reported (by a call to ``/setup``) never on a link-local one, where clouds keep credentials.
    """

    def __init__(self, allowed: Iterable[str] = (), label_studio_url: str | None = None) -> None:
        self._allowed = frozenset(entry.lower() for entry in allowed)
        self._configured = origin(label_studio_url) if label_studio_url else None

    def permits(self, url: str) -> bool:
        """Whether the address is on a host that somebody configured."""
        return self._is_configured(*origin(url)[1:])

    def check_address(self, host: str, port: int, address: str) -> None:
        """Refuse a connection of ``host`` to the numeric ``address`` it resolved to.

        Raises:
            MediaError: the host was only reported, and the address is no place for a Label Studio.
        """
        if self._is_configured(host.lower(), port):
            return
        ip = _plain(ipaddress.ip_address(address.partition("%")[0]))
        special = ip.is_link_local or ip.is_multicast or ip.is_unspecified or (ip.is_reserved and not ip.is_loopback)
        if special or ip in _METADATA:
            raise MediaError(
                f"{host} resolves to {ip}, a reserved network address; "
                "if it is right, name the host in KEYTRACK_ALLOWED_HOSTS"
            )

    def _is_configured(self, host: str, port: int) -> bool:
        if self._configured is not None and self._configured[1:] == (host, port):
            return True
        name = f"[{host}]" if ":" in host else host
        return name in self._allowed or f"{name}:{port}" in self._allowed


def _plain(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address that an IPv6 one stands for; any other as it is."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip


class GuardedAdapter(HTTPAdapter):
    """A requests adapter which shows every resolved address to ``check`` before a request is sent to it, and whose
    connections belong to a line, which can hang them up.

    The check sits at the connection, so that a name cannot resolve to one address for the check and to another
    for the request. Where a proxy makes the connection, the proxy's rules hold.
    """

    def __init__(self, check: AddressCheck, line: Line) -> None:
        self._check = check
        self._line = line
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Give the pools connections that check the address they reach."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self._check, self._line)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> ProxyManager:
        """Give a proxy's pools connections that belong to the line."""
        manager: ProxyManager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _pools(lambda host, port, address: None, self._line)
        return manager


def _pools(check: AddressCheck, line: Line) -> dict[str, type[HTTPConnectionPool]]:
    http, https = _guarded(HTTPConnection, check, line), _guarded(HTTPSConnection, check, line)
    return {
        "http": type("GuardedHTTPPool", (HTTPConnectionPool,), {"ConnectionCls": http}),
        "https": type("GuardedHTTPSPool", (HTTPSConnectionPool,), {"ConnectionCls": https}),
    }


def _guarded(base: type[HTTPConnection], check: AddressCheck, line: Line) -> type[HTTPConnection]:
    class Guarded(base):  # type: ignore[misc, valid-type]
        def _new_conn(self) -> socket.socket:
            connection: socket.socket = super()._new_conn()
            try:
                check(self.host, self.port, connection.getpeername()[0])
                line.hold(connection)
            except Exception:
                connection.close()
                raise
            return connection

    return Guarded
