"""The five services; each is a room of its own and none imports another."""
