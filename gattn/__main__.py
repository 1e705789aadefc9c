"""`python -m gattn` is `gattn`."""

from gattn.cli import main

main()
