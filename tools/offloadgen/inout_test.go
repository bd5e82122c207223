package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestInOutIsTold has parameters that are carried back with what refers to further memory: the
// developer is told of those, and of no others.
func TestInOutIsTold(t *testing.T) {
	dir := t.TempDir()
	makeModule(t, dir, `
-- app.go --
package app

import "time"

type frame struct {
	Pix []byte
	At  time.Time
}

//offload:func inout=f
func (f *frame) stamp(t time.Time) { f.At = t }

//offload:func inout=times,names
func fill(times []time.Time, names map[string]string) {
	clear(times)
	clear(names)
}
`)
	var out bytes.Buffer
	if status := run([]string{dir}, &out, &out); status != 0 {
		t.Fatalf("exit status %d\n%s", status, &out)
	}
	want := "app.go:11:9: frame.stamp: inout=f writes back what f refers to; what that refers to in turn comes from an edge host as new memory"
	var told []string
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, "inout=") {
			told = append(told, line)
		}
	}
	if len(told) != 1 || !strings.HasPrefix(told[0], want) {
		t.Errorf("it tells %q; want one line: %s", told, want)
	}
}
