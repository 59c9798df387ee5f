"""What crosses a service boundary: events, commands, failures, subjects and the provider rows."""
