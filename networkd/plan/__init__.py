"""What a host's state means for its kernel: namespaces, devices, addresses, rules and files, as plain values."""
