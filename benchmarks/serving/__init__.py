"""The server under load: what it carries, beside other servers of the same model, and what it refuses."""
