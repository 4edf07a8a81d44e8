"""SQL over stored events: one SELECT that a person writes, over one table, and nothing else within its reach.

A statement is read into its tree and judged there, by lists of what may stand in it (``statement``,
``functions``). The table is made of the columns of closed segments, and of lines where columns do not tell
(``table``). It runs in a process that does this one thing and ends, on a connection that can open those files
alone, within bounds on time, memory and what it gives (``running``, ``bounds``).
"""
