"""A trained model: one file that knows what it is."""
