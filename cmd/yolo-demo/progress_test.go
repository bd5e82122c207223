//go:build cgo && opencv

package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
)

// Who starts the demo is told once when an edge host has answered first, since the program's start and not since the first frame.
func TestProgressSaysTheFirstEdgeFrame(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(4, time.Now().Add(-90*time.Second))
	p.out, p.bar.bar = &out, nil // no terminal
	for n, where := range []string{report.UE, report.Edge, report.UE, report.Edge} {
		p.frame(&report.Frame{Number: n, Where: where})
		if got := strings.Count(out.String(), "edge: the first frame"); got != min(n, 1) {
			t.Errorf("after frame %d it is said %d times: %q", n, got, out.String())
		}
	}
	_, seconds, _ := strings.Cut(out.String(), "host, ")
	var n int
	if _, err := fmt.Sscanf(seconds, "%d s after", &n); err != nil || n < 90 {
		t.Errorf("%q; want 90 s or more", out.String())
	}
}
