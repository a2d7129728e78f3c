"""The agent that runs a host's guests."""
