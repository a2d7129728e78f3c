"""`ringstack fsck`: proof that everything is there, or a list of what is not."""
