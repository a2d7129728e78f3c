"""Servers: the Compute and Placement APIs, the scheduler, and the agent that runs guests on a host."""
