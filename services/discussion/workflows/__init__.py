"""Workflows: named steps, each a discussion, that go on by themselves and survive whatever dies."""
