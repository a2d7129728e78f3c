"""Placement: devices, policies, immutable numbered ring epochs, and the builder that makes the next one."""
