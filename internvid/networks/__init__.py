"""Small networks whose weights come with a package, run by ONNX Runtime: nothing of torch is imported."""
