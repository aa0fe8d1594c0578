"""How well vectors do where they are used: word similarity, analogies, outliers, classification of texts.

Each task is a module that reads its set and scores a `Table`; `evaluate` runs them on files side by side.
"""
