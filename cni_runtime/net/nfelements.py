"""Addresses in sets of nftables, put in and taken out by netlink.

Before each command libnftables lists all tables, chains and sets of the host: thousands, on a node whose services are
rules of nftables. These requests cost the same everywhere. They are pure.
Source: include/uapi/linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

from enum import IntEnum

from cni_runtime.ip import ip_address
from cni_runtime.net import codec
from cni_runtime.net.codec import Request
from cni_runtime.net.netfilter import Subsystem, message
from cni_runtime.net.nfrules import TABLE_FAMILIES


class _Msg(IntEnum):
    NEW_ELEMENT = 12
    DELETE_ELEMENT = 14


class _Elements(IntEnum):
    TABLE = 1
    SET = 2
    LIST = 3


_ITEM, _KEY, _VALUE = 1, 1, 1


def create_address(family: str, table: str, name: str, address: str) -> Request:
    """Put ``address`` into the set ``name``, which is one of addresses and not of ranges. EEXIST: it is there."""
    flags = codec.CREATE | codec.EXCLUSIVE
    return _request(_Msg.NEW_ELEMENT, family, table, name, address, flags=flags)


def delete_address(family: str, table: str, name: str, address: str) -> Request:
    """Take ``address`` out of the set ``name``. ENOENT: it is not there."""
    return _request(_Msg.DELETE_ELEMENT, family, table, name, address)


def _request(kind: _Msg, family: str, table: str, name: str, address: str, *, flags: int = 0) -> Request:
    key = codec.nested(_KEY, codec.attribute(_VALUE, ip_address(address).packed))
    elements = codec.nested(_Elements.LIST, codec.nested(_ITEM, key))
    body = codec.text(_Elements.TABLE, table) + codec.text(_Elements.SET, name) + elements
    what = f"{'create' if flags else 'delete'} element {address} of set {name} of table {family} {table}"
    return message(Subsystem.NFTABLES, kind, TABLE_FAMILIES[family], body, flags=flags, what=what)
