"""portmap: ports of the host that lead to ports of a pod.

``config`` has the options and mappings, ``conditions`` those that narrow down which packets are meant, ``table`` the
packet filter table and its elements, ``guard`` the one that keeps others from 127.0.0.1, ``reference`` finds and
removes what the reference plugin made, ``plugin`` has the verbs.

Where the state is: each pod's elements in a file (see ``net.nft``), the kernel's sets and maps made from it. Chains
and rules are the same for every pod, so the reference executable, which looks for a chain or rules of a container's
own, finds nothing to delete when it is called for a pod that was added here, and succeeds. What stays belongs to an
owner whose namespace is gone: it excludes nobody from the port, and GC takes it.
"""
