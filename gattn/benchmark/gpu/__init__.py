"""The benchmark of a GPU, in one call: `python -m gattn.benchmark.gpu --out FOLDER`.

It is a step for a machine that nobody can log in to, and that is lent for minutes: it looks whether
everything is there, runs the tests that need a GPU, measures what fits into its budget, the most
telling first, and keeps each row as soon as it is there.
"""
