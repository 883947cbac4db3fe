"""How often the certificate refuses an honest export, and how often it misses a fault."""
