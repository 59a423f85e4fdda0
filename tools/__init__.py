"""What the make targets run besides other tools."""
