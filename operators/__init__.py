"""What flows are made of: one operator a file, the pure logic first, Bytewax last."""
