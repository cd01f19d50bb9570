"""Containers: one file per CRI verb, the pure making of their OCI configuration (``spec``), and the ports these need.

Decides what a container is to have and in which order it is made and undone. Mounts, cgroups, processes and the OCI
runtime are reached through ``ports``.
"""
