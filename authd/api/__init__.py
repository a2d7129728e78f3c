"""The HTTP face of the identity service: one module for each kind of resource, each with its ROUTES."""
