"""A checkpoint in forms that others load: a folder of `transformers`, ONNX, `torch.export`."""
