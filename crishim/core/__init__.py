"""Values and helpers everyone may use: errors, configuration, owned tasks, clock, logs, the kernel's names.

No I/O but reading the configuration files and the id of the boot, and writing the log.
"""
