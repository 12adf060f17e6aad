"""The drawn world: scenes and words in which a CLIP model can be trained, and what is asked of it afterwards."""
