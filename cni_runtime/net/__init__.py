"""The kernel's network, and the only importer of pyroute2.

Netlink sockets in a namespace, links, addresses, routes, sysctls, nftables: plain values in and out, no CNI.
"""
