"""A part of a resized picture, exactly as Pillow resizes it: by compiled code where the installation has it."""
