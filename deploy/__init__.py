"""What the container deployment does once, before the services start."""
