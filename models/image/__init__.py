"""Images: safe decoding, perceptual hashes and their index, and the classifier slot."""
