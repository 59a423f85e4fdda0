"""What an operator does to a zone from its own machine: the commands of bin/zone-admin."""
