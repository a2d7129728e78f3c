"""The image service: OpenStack's Image API v2 over frozen volumes."""
