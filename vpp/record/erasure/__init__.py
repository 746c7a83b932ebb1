"""Erasure in the record: what entries say of names and samples that are gone on demand."""
