"""What runs in Python workers. Heavy libraries are imported inside factories only."""
