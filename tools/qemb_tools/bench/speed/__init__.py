"""How fast files open, answer, are searched, decoded and written, beside what others do with the same table.

One file a part: ``opening``, ``lookup``, ``search``, ``first``, ``decode``, ``scale``; converting is
`qemb_tools.bench.convert`. All measure through `take_turns` or through fresh processes that take turns, so that what
slows the machine down slows all sides down; `verdict` reads the figures against what is wanted of them.
"""
