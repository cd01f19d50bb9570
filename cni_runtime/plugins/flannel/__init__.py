"""flannel: the network of flanneld's node subnet, by another plugin (bridge), whose configuration it writes.

``subnet`` reads what flanneld says of the node, ``config`` makes the other plugin's configuration, ``plugin`` has the
verbs.
"""
