"""How a panel agrees: sealed drafts, blind reviews, a tally that anybody can check."""
