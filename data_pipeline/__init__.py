"""Turns web archives and books into clean, deduplicated, tokenised WebDataset shards."""
