"""The NBD protocol: parsing, negotiation and transmission, over any disk."""
