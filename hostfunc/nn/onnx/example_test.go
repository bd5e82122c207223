package onnx_test

import (
	"fmt"

	"github.com/bungee-xr/bungee/hostfunc/nn/onnx"
)

// A library that is named is the only one that is tried.
func ExampleLibrary() {
	fmt.Println(onnx.Library("/opt/onnxruntime/lib/libonnxruntime.so.1"))
	// Output: [/opt/onnxruntime/lib/libonnxruntime.so.1]
}
