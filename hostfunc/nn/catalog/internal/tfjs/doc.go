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
// # OpenCV 4.6
//
// It computes wrong results for some ONNX that is right. So Relu6(x) is written
// as Relu(x) - Relu(x-6), and a resize without half pixel centres has
// coordinate_transformation_mode asymmetric.
package tfjs
