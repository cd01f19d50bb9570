"""Thin handlers, one module per group of rpcs: decode, call a port, encode. The happy path only."""
