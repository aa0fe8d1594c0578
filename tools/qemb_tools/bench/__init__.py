"""Benchmarks: every figure that README and docs quote, and the command that prints it again.

``qemb bench PART`` runs one part, one file here each; those of ``speed`` are in a folder of their own. ``data`` lists
the tables they are measured on. Both sides of a comparison run on one machine, in turns or one after the other, so
ratios hold where seconds do not.
"""
