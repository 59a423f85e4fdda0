"""Plug-ins for the `nova` and `openstack` commands. They import nothing of the house, only the clients."""
