"""Large networks: one picture on all cores, beside other runtimes."""
