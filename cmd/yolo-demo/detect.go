package main

import (
	"context"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/head"
	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/offload"
)

//go:generate go tool offloadgen

// The network is named in the frame, so any that the host serves may be asked for.
//
//offload:module models=*

// A Frame is a picture and the network that is to look at it.
type Frame struct {
	Number  uint64
	Image   []byte // JPEG or PNG
	Model   string // the network's name
	Head    string // how its outputs are read
	Classes int    // how many labels there are
}

// Detections are the objects found in a frame.
type Detections struct {
	Frame uint64 // Frame.Number, so that no answer is taken for another's
	Boxes []head.Box
}

// leastScore is the confidence from which on a box is one. Of what Yolo-Fastest-1.1-xl finds on pedestrians from above, two
// thirds are right then, and two thirds of what is there are found, beside what YOLOX-nano finds; from 0.25 on, nearly every second one was
// wrong: BUNGEE_THRESHOLD=1 go test -tags opencv -run Threshold -v ./cmd/yolo-demo.
const leastScore = 0.4

// A frame that does not decode is the same error wherever it was looked at.
func init() { offload.RegisterError("yolo-demo.bad_image", nn.ErrBadImage) }

// detectObjects finds the objects in a frame.
//
// This one function is both versions: offloadgen makes the Wasm module from it.
// It may take 500 ms on an edge host, twenty times what it needs there.
//
//offload:func deadline=500ms idempotent
func detectObjects(ctx context.Context, frame Frame) (Detections, error) {
	found := Detections{Frame: frame.Number}
	graph, err := nn.Load(frame.Model)
	if err != nil {
		return found, err
	}
	s, err := graph.NewSession()
	if err != nil {
		return found, err
	}
	defer s.Close()
	fit, err := s.SetImage(ctx, 0, frame.Image)
	if err != nil {
		return found, err
	}
	if err := s.Compute(ctx); err != nil {
		return found, err
	}
	out, err := s.Outputs()
	if err != nil {
		return found, err
	}
	found.Boxes, err = head.Decode(head.Kind(frame.Head), out, fit, head.Options{Score: leastScore, Classes: frame.Classes})
	return found, err
}
