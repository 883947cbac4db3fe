"""Speed of the recipes' exported files and of published networks, beside their accuracy."""
