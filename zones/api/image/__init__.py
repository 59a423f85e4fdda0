"""The Image API v2 of the embedded image service: one file a noun."""
