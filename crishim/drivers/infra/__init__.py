"""The infra process, which holds the PID namespace that the containers of a pod share, and reaps their orphans.

It is started from here, without an OCI runtime, by a thread that first gives up all it has: see ``dressing``. What it
could reach is all that a container could reach through it, so it has nothing of the node: a root of its own with one
program in it, no capabilities, a user that nobody else is, no descriptors. Who keeps account of it is ``drivers.oci``.
"""
