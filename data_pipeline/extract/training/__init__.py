"""Makes learned_model.json: pages, labels, trees. Needs the extra `train-extractor`."""
