"""The HTTP face of the image service: one module for each kind of resource."""
