"""The command line of crishim."""
