"""The functions that workers run, one file for each stage.

map (read, extract, filter, sign) -> dedup -> publish -> sample, tokenizer -> write.
"""
