"""Fakes for users of this library: they keep the contract of the ports and touch nothing."""
