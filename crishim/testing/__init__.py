"""Fakes and fault points that ship with crishim, for its own tests and those of whoever builds on it."""
