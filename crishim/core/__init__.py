"""Values and helpers everyone may use: errors, configuration, owned tasks, clock, logs, the kernel's names.

No I/O but reading the configuration files, the id of the boot and the names in directories, and writing the log.
"""
