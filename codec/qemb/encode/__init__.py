"""The writer's half of the model, one family of schemes a file: choose scales, choose codes, pack them.

The codes are chosen with the scale as it is stored, after rounding. All sums run in a fixed order, so that the same
rows give the same file on every machine and whatever the sizes of the batches they came in.
"""
