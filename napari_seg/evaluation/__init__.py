"""How good a mask is, measured against a truth."""
