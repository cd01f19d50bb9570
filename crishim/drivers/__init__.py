"""Everything that touches the machine: system calls, namespaces, mounts, cgroups, processes, SQLite.

A driver knows the kernel, not the pod: it takes and gives plain values and translates OSError into
``core.errors`` at its edge. Each domain package states the Protocol it needs; drivers match them structurally.
"""
