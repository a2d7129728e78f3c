"""What servers need that outlives a request: one file for each kind."""
