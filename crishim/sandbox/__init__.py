"""Pod sandboxes: one file per CRI verb, the pod's network attachment, and the ports these need.

Decides what a sandbox is to have and in which order it is made and undone. No system calls of its own:
namespaces, mounts, storage and the CNI runtime are reached through ``ports``.
"""
