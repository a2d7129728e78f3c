"""The daemon of a node: its background work and its membership of the cluster."""
