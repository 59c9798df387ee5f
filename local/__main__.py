"""`python -m local …` is the `parley` command."""

from local.cli import main

main()
