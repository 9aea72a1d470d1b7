"""Benchmarks: ours and the peers in turn, in one run, on the same input; ratios, not times."""
