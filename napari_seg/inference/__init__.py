"""From an image and a model to a mask: what fits, what it costs, the sliding window, the objects in the scores."""
