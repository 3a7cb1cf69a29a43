"""Words from pictures, sounds and text: two frozen encoders and one causal Transformer over all of them."""
