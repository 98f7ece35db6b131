"""What `verify` looks at: one small file a family, found by `catalogue`."""
