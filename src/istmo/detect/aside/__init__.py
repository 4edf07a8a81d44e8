"""Long work beside the live path: closing segments, searches and hunts run in processes of their own.

They come when there is work and go when there has been none for a while, so neither their memory
nor their hold on the interpreter is the detection worker's, and one that dies takes nothing along.
"""
