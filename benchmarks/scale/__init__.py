"""Speed and memory of `torchstone score` over growing inputs."""
