"""Exports a trained model to ONNX, measures equivalence, seals."""
