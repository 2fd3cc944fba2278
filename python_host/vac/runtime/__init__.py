"""The Python API: start machines, step them, look into them, keep and restore them."""
