package main

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"
)

// nnOptions are the flags of "bungee host" about networks.
type nnOptions struct {
	backend         string // auto, onnx or opencv
	models          []string
	head            string
	input           int
	nets, threads   int
	device, library string
	librarySHA256   string
	deviceOptions   map[string]string
}

func nnFlags(fl *pflag.FlagSet, o *nnOptions) {
	fl.StringArrayVar(&o.models, "model", nil, "network that modules may run: a name of the catalog or a file; may be repeated (default: the one that yolo-demo takes, if it is on this machine)")
	fl.StringVar(&o.head, "head", "", "form of a network of your own, which says how images are prepared: darknet, yolox, centernet, yolov8 and others of YOLO (default: what its file says, else yolov8)")
	fl.Var(number[int]{&o.input, 1, 1 << 14}, "input", "side of the input of a network of your own, in pixels, where its file leaves it open (default: what the file notes, else as the head has it)")
	o.backend, o.device = "auto", "cpu"
	fl.Var(choice{&o.backend, []string{"auto", "onnx", "opencv"}}, "nn", "what runs networks: onnx, opencv, or auto, which takes ONNX Runtime for ONNX files where its library is there, and else OpenCV")
	fl.StringVar(&o.library, "nn-library", "", "file of ONNX Runtime's library (default: what BUNGEE_ONNXRUNTIME names, the user's cache, the usual names)")
	fl.StringVar(&o.librarySHA256, "nn-library-sha256", "", "SHA-256 that this file must have (default: what BUNGEE_ONNXRUNTIME_SHA256 has; the file in the user's cache must be the one that scripts/onnxruntime.sh installs)")
	fl.Var(checked{&o.device, goodDevice}, "nn-device", "what ONNX Runtime computes on: cpu, cuda, or cuda:N for device N")
	fl.StringToStringVar(&o.deviceOptions, "nn-device-options", nil, "options of the device as ONNX Runtime names them, such as gpu_mem_limit=2147483648")
	fl.Var(number[int]{&o.nets, 1, 1 << 10}, "nets", "networks that compute at once (default: one a call)")
	fl.Var(number[int]{&o.threads, 1, 1 << 10}, "threads", "threads of a network (default: one a core)")
}

// goodDevice says what is wrong with the name of a device.
func goodDevice(name string) error {
	if device, _, _ := strings.Cut(name, ":"); device != "cpu" && device != "cuda" || name == "cuda:" {
		return errors.New("want cpu, cuda or cuda:N")
	}
	return nil
}

// provider returns the device as package onnx takes it.
func (o *nnOptions) provider() (name string, options map[string]string) {
	name, id, ok := strings.Cut(o.device, ":")
	options = map[string]string{}
	for k, v := range o.deviceOptions {
		options[k] = v
	}
	if ok {
		options["device_id"] = id
	}
	return name, options
}
