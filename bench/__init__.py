"""Load benchmarks, peers side by side."""
