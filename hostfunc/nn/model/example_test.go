package model_test

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/bungee-xr/bungee/hostfunc/nn/model"
)

// A model's description and files are checked without a backend.
func ExampleModel_Check() {
	m := model.Model{
		Name:   "yolox-nano",
		Files:  []model.File{{Path: "no-such-folder/yolox_nano.onnx"}},
		InputW: 416, InputH: 416,
		Pad: 114, Align: model.TopLeft,
	}
	err := m.Check()
	fmt.Println(errors.Is(err, model.ErrModel), errors.Is(err, fs.ErrNotExist))
	// Output: true true
}
