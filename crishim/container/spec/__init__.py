"""The making of a container's OCI configuration: one module per part, all pure.

A part takes what was gathered beforehand (``inputs``) and gives its share of ``config.json``. It raises
InvalidArgumentError, naming the field of the request, for what cannot be had; ``container.validate`` runs the parts
that need nothing but the request and the node, so that such a request is refused before anything is touched.
Nothing here reads files, looks at the clock or asks the kernel.

Source: OCI runtime specification 1.0.2, CRI v1; where these are silent, what containerd's users are used to.
"""
