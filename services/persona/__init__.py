"""The persona library: who can take part in a discussion, and with which instructions."""
