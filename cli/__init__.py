"""The `ringstack` command: one file for each noun."""
