package ue_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
)

// An application encodes its next frame as finely as the link carries it in time. With generated code, detect is DetectObjects, and
// its description detectObjectsFunc.Desc.
func ExampleHandler_Fidelity() {
	h, err := ue.Start(context.Background(), ue.Config{Policy: policy.Adaptive{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	detect := doubler("detect", true, double)
	levels := []policy.Level{{Quality: 90, Size: 1}, {Quality: 60, Size: 1}, {Quality: 60, Size: 0.5}}
	if err := h.SetLevels(&detect.Desc, levels); err != nil {
		fmt.Println(err)
		return
	}
	level, _ := h.Fidelity(&detect.Desc)
	fmt.Println("encode at quality", level.Quality, "and size", level.Size)
	out, err := detect.Call(context.Background(), 21)
	fmt.Println(out, err)
	// Output:
	// encode at quality 90 and size 1
	// 42 <nil>
}

// What is required may change at any time. What cannot be met is said at once, and counts all the same.
func ExampleHandler_Require() {
	h, err := ue.Start(context.Background(), ue.Config{Policy: policy.Adaptive{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	detect := doubler("detect", true, double)
	err = h.Require(&detect.Desc, policy.Requirements{Latency: 50 * time.Millisecond, Energy: policy.Frugal, Private: true})
	fmt.Println(err)
	fmt.Println(h.Require(&detect.Desc, policy.Requirements{Rate: -1}))
	// Output:
	// <nil>
	// require of detect: a rate or a price that is no number of at least zero
}

// The log of decisions is for "bungee explain".
func ExampleExplainFile() {
	dir, err := os.MkdirTemp("", "bungee")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	log, err := ue.ExplainFile(filepath.Join(dir, "decisions.ndjson"), 16<<20)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close()
	h, err := ue.Start(context.Background(), ue.Config{Explain: log})
	if err != nil {
		fmt.Println(err)
		return
	}
	detect := doubler("detect", true, double)
	detect.Call(context.Background(), 21)
	h.Close()
	written, err := os.ReadFile(filepath.Join(dir, "decisions.ndjson"))
	fmt.Println(len(written) > 0, err)
	// Output:
	// true <nil>
}
