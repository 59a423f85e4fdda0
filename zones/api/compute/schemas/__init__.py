"""What the bodies of the Compute API look like: one file a noun, compiled once at import."""
