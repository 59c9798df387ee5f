"""The heart: discussions, and every decision about waiting and trying again."""
