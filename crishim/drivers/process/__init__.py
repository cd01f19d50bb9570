"""Processes: starting them, knowing them for sure, waiting for their end without polling, ending them.

A process id alone names nobody for long: what is kept is the id with the start time, and what is waited on or
signalled is a pidfd that was checked against both. Nothing here ever signals an id of 1 or below.
"""
