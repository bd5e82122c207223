//go:build cgo && opencv

package opencv

/*
#cgo CXXFLAGS: -std=c++11 -O2
#cgo pkg-config: opencv4
#include <stdlib.h>
#include "net.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// maxOutputs bounds the outputs of a network. Detectors have 1 to 9.
const maxOutputs = 16

// A network is one copy of a model in OpenCV, used by one goroutine at a time.
// None of its methods lets a C++ exception through.
type network struct{ p *C.bungee_net }

// readNetwork makes a network of an ONNX file's bytes, or, with a cfg, of
// Darknet's.
func readNetwork(model, cfg []byte) (network, error) {
	var text [1024]C.char
	var cp *C.char
	if len(cfg) > 0 {
		cp = (*C.char)(unsafe.Pointer(&cfg[0]))
	}
	p := C.bungee_net_read((*C.char)(unsafe.Pointer(&model[0])), C.size_t(len(model)),
		cp, C.size_t(len(cfg)), &text[0], C.size_t(len(text)))
	if p == nil {
		return network{}, errors.New(reason(text[:]))
	}
	return network{p}, nil
}

// forward runs the network on an image tensor [1, 3, h, w] and appends its
// outputs to out. Their data lies in memory of the network until the next forward.
func (n network) forward(out []nn.Tensor, data []float32, h, w int) ([]nn.Tensor, error) {
	if len(data) != 3*h*w {
		return nil, fmt.Errorf("input has %d numbers; want 3*%d*%d", len(data), h, w)
	}
	var text [1024]C.char
	k := int(C.bungee_net_forward(n.p, (*C.float)(unsafe.Pointer(&data[0])),
		C.int(h), C.int(w), &text[0], C.size_t(len(text))))
	if k < 0 {
		return nil, errors.New(reason(text[:]))
	}
	if k == 0 || k > maxOutputs {
		return nil, fmt.Errorf("the network has %d outputs; want 1 to %d", k, maxOutputs)
	}
	for i := range k {
		t, err := n.output(i)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// output returns output i of the last forward, by reference.
func (n network) output(i int) (nn.Tensor, error) {
	var dims [nn.MaxRank]C.int
	var rank C.int
	p := C.bungee_net_output(n.p, C.int(i), &dims[0], nn.MaxRank, &rank)
	if p == nil {
		return nn.Tensor{}, fmt.Errorf("output %d is empty, not float32, or has over %d dimensions", i, nn.MaxRank)
	}
	t := nn.Tensor{Shape: make([]int, rank)}
	size := 1
	for k := range t.Shape {
		t.Shape[k] = int(dims[k])
		size *= t.Shape[k] // at most what OpenCV has allocated
	}
	if size > nn.MaxTensor/4 {
		return nn.Tensor{}, fmt.Errorf("output %d has %d numbers; want at most %d", i, size, nn.MaxTensor/4)
	}
	t.Data = unsafe.Slice((*float32)(unsafe.Pointer(p)), size)
	return t, nil
}

func (n network) close() { C.bungee_net_free(n.p) }

// reason returns OpenCV's words on one line.
func reason(text []C.char) string {
	return "OpenCV: " + strings.Join(strings.Fields(C.GoString(&text[0])), " ")
}

// setThreads sets how many threads OpenCV may use in this process.
func setThreads(n int) { C.bungee_set_threads(C.int(n)) }
