"""How the Compute API shows things: one file a noun, pure functions of rows."""
