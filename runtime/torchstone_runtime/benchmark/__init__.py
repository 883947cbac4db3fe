"""How fast a bundle is here: timing, throughput, latency and start-up."""
