"""What data pipeline, trainer and launcher share: files on disk and the types describing them."""
