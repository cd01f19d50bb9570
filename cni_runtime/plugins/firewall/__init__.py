"""firewall: lets a pod's traffic through the host, and keeps pods of other bridges away from it.

``config`` has the options, ``table`` our packet filter table, ``iptables`` the rules in iptables' own chains, which
alone can accept what iptables would drop, ``firewalld`` the zone that firewalld is told of, ``plugin`` has the verbs.
"""
