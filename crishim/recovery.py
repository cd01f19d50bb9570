"""Reconciles records, namespaces and kernel state at start-up."""
