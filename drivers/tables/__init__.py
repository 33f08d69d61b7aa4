"""Facts of single protocols, one module each: drivers do not import each other, so tables stand beside them."""
