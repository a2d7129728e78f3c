"""The shared kernel: environment, errors, frames, links, HTTP. Imports nothing of ours."""
