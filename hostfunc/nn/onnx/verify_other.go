//go:build !unix

package onnx

import "io/fs"

// othersWrite returns false: who may write to a file is not in its mode here.
func othersWrite(fs.FileInfo) bool { return false }
