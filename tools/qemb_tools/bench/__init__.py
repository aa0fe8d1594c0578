"""Benchmarks: every figure that README and docs quote, and the command that prints it again.

``python -m qemb_tools.bench PART`` runs one part, one file here each: ``convert``, ``quality``, ``exact``, ``encode``,
``tasks``; ``data`` lists the tables they are measured on. Both sides of a comparison run on one machine, one after the
other, so ratios hold where seconds do not.
"""
