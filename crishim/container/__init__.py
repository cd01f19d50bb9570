"""Containers on a real OCI runtime: one file per verb. Not built yet."""
