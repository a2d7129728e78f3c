"""Log-structured volumes on the object store: what block storage and images are made of."""
