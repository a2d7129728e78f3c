"""The control plane's one process: every API under its prefix on one port."""
