"""The Linux network agent: makes a host's kernel what the Networking API wants it to be."""
