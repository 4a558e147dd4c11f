"""Where data comes from and goes; each connector has an in-memory or file twin."""
