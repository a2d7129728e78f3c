"""Block storage: OpenStack's Block Storage API v3, and the daemon that serves volumes over NBD."""
