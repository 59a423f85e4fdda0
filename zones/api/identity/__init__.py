"""The Identity API v3 of the embedded identity: one file a noun."""
