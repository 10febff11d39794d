"""Training on Cloud TPU: slices that are ordered, prepared, watched and given back."""
