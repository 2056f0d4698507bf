"""The acoustic model as an ONNX file, in float32 or with int8 weights, and run by onnxruntime in torch's place."""

BACKENDS = ("auto", "torch", "onnx", "onnx-int8")
FILES = {"onnx": "model.onnx", "onnx-int8": "model.int8.onnx"}  # in a model directory
