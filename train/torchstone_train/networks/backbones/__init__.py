"""Networks of other packages as the body of a classifier: torchvision's, timm's, and the owner's."""
