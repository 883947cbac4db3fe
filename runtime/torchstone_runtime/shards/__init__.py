"""Inputs too many to hold: found, cut into shards, and read a shard at a time; no model is needed for it."""
