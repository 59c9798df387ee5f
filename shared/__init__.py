"""What every service needs, named by topic."""
