"""Trees of whole zones in one thread, and the unreliable way between them."""
