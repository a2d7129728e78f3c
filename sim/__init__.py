"""Deterministic simulation: the real storage code on virtual time, networks and disks, from a seed."""
