"""What a bundle's certificate recorded, and whether it still holds on this machine."""
