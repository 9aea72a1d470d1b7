"""What the data pipeline, the trainer and the launcher share: files on disk, and the types that describe them."""
