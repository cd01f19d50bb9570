"""A CNI runtime library: what libcni and the reference plugins are to Go, in async Python.

Belongs here: network configuration, results, the plugin chain (ADD, DEL, CHECK, GC, STATUS), the
results cache, the built-in plugins and the kernel calls they need. Does not belong here: anything
that knows of pods, sandboxes, CRI or ``crishim``. Source: the CNI specification, versions 0.1.0 to 1.1.0.
"""
