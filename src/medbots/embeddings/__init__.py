"""Vectors of clinical records: what must agree between model, table and readers."""
