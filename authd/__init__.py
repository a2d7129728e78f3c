"""The identity service: OpenStack's Identity API v3, tokens, policy."""
