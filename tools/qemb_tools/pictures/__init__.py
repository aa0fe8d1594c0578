"""Pictures of figures: charts as SVG made by hand, pages that need no network, and PNG by matplotlib (extra ``plots``).

Whatever comes out of a file, words above all, is escaped where it is put into markup.
"""
