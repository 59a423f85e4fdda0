"""The driver that runs servers as Amazon EC2 instances: one account and region a compute service."""
