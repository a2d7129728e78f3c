"""The Swift dialect."""
