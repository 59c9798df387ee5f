"""The only room that speaks to language model providers: one request an attempt, never a retry."""
