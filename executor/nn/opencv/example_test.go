package opencv_test

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/bungee-xr/bungee/executor/nn/opencv"
)

// A model's description and files are checked without OpenCV.
func ExampleModel_Check() {
	m := opencv.Model{
		Name:   "yolox-nano",
		Files:  []opencv.File{{Path: "no-such-folder/yolox_nano.onnx"}},
		InputW: 416, InputH: 416,
		Pad: 114, Align: opencv.TopLeft,
	}
	err := m.Check()
	fmt.Println(errors.Is(err, opencv.ErrModel), errors.Is(err, fs.ErrNotExist))
	// Output: true true
}
