"""Trains a Transformer language model on the shards of the data pipeline."""
