"""Photographs: preprocessing, loading and training, beside other tools."""
