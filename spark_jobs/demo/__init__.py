"""The demo corpus: drawn image-text pairs with known embedded text and CoTR, and the check against them."""
