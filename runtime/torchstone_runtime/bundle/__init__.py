"""The bundle on disk: manifest, hashes, golden samples, signature, provenance, and the built-in bundles."""
