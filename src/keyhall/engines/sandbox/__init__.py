"""The sandbox: an engine in pure Python that is no AI, and says so (R19).

It needs no model, network or key, counts its tokens exactly, and the same request gives the same
bytes on every machine: what the quick start, the tests and the benchmarks stand on.
"""
