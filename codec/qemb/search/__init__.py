"""Exact nearest neighbours by cosine over the packed table, which is never decoded as a whole."""

from qemb.search.scores import unit
from qemb.search.searcher import Searcher

__all__ = ["Searcher", "unit"]
