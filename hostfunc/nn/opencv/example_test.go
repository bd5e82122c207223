//go:build cgo && opencv

package opencv_test

import (
	"errors"
	"fmt"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/model"
	"github.com/bungee-xr/bungee/hostfunc/nn/opencv"
)

// Models are checked at once and read when the first session wants them.
func ExampleNew() {
	_, err := opencv.New(opencv.Config{Models: []model.Model{{
		Name: "yolox-nano", InputW: 416, InputH: 416,
		Files: []model.File{{Path: "no-such-folder/yolox_nano.onnx"}},
	}}})
	fmt.Println(errors.Is(err, model.ErrModel))

	b, err := opencv.New(opencv.Config{Threads: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	_, err = b.Graph("yolox-nano")
	fmt.Println(errors.Is(err, nn.ErrNoGraph))
	// Output:
	// true
	// true
}
