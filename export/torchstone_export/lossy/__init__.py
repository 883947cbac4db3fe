"""int8 and fp16 variants and the gate that ships or refuses them."""
