"""int8, fp16 and bf16 variants and the gate that ships or refuses them."""
