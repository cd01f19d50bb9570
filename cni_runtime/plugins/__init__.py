"""The standard plugins, in process: config → validated frozen value → plan → netlink. One explicit registry."""
