"""What the hosts of a zone offer and what of it is free: pure values and columns, no I/O, no clock."""
