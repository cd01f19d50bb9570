"""Values and helpers everyone may use: errors, configuration, owned tasks, clock.

No I/O but reading the configuration file.
"""
