"""The peers: what each environment installs (`*.txt`) and what is run in it (`python -m`).

A script here calls a peer's public interface and nothing else of ours than `benchmarks.measuring`.
"""
