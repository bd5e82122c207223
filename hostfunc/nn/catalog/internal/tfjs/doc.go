// Package tfjs converts TensorFlow.js graph models to ONNX.
//
// A graph model is a model.json, which holds the topology and a list of
// weights, and their bytes. [Convert] reads both, cuts the graph at the outputs
// asked for, and writes an ONNX model in which every tensor is NCHW: weights
// are transposed here, so no transpose is left to be computed. The result
// depends on the arguments alone, byte for byte.
//
//	onnx, err := tfjs.Convert(topology, weights, "tower_0/keypoints", "tower_0/wh")
//
// # Operations
//
// Convolution (plain, depthwise, with fused bias and ReLU), Add, Sub, Mul,
// Relu, Relu6, Sigmoid, Identity, ConcatV2, ResizeBilinear, and Mean over height
// and width: what detectors on a MobileNet are made of. Weights are float32,
// float32 quantised to float16, or int32. Anything else is an error that wraps
// [ErrUnsupported].
//
// # What runs it
//
// The model is valid ONNX, of opset 13, in a form that both OpenCV 4.6 and ONNX
// Runtime compute right. OpenCV clips wrong, so Relu6(x) is written as
// Relu(x) - Relu(x-6), and a resize without half pixel centres has
// coordinate_transformation_mode asymmetric. ONNX Runtime takes no automatic
// padding of a dilated convolution, so its pads are written out. What one of
// them cannot compute is refused: of two values of different shapes, the smaller
// is one number or one a channel, and is not what the larger is subtracted from.
package tfjs
