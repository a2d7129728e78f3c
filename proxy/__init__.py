"""The front of the object store: the store client, and the S3 and Swift dialects on it."""
