"""`python -m gattn.compare.published`."""

from gattn.compare.published.command import main

main()
