"""bridge: a veth pair from the pod into a bridge on the host.

``config`` has the options, ``plan`` the effects, ``spoofcheck`` the packet filter rules of ``macspoofchk``, ``check``
compares, ``plugin`` has the verbs.
"""
