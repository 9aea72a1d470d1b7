"""Starts the data pipeline and the trainer through their command lines; imports neither."""
