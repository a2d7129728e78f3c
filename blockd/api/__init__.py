"""The HTTP face of block storage: one module for each kind of resource."""
