"""The kit that every control-plane API is built from: routes as data, faults, shapes, listings, discovery."""
