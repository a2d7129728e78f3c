"""The object cluster as a client sees it: names, records, quorum. Knows no HTTP and no dialect."""
