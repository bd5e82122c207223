package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// TestVet has a library whose marked functions depend on what the program that imports it
// does: the library cannot know, and vet of the program says so.
func TestVet(t *testing.T) {
	long(t)
	c := newConsumer(t, light, `
-- lib/lib.go --
package lib

import (
	"bytes"
	"context"
	"image"
	"sync"
)

var Threshold = 3

var Unused = 1

var Limit = 1

// Scale is set at the beginning.
//
//offload:constant
var Scale = 2

//offload:func
func scaled(n int) int { return n * Scale }

//offload:func carry=Limit
func under(n int) bool { return n < Limit }

var cache = sync.Pool{New: func() any { return new(int) }}

//offload:func
func format(ctx context.Context, picture []byte) (string, error) {
	defer cache.Put(cache.Get())
	_, name, err := image.DecodeConfig(bytes.NewReader(picture))
	return name, err
}

//offload:func
func over(ctx context.Context, n int) (bool, error) { return n > Threshold, nil }
-- cmd/app/main.go --
package main

import (
	"context"
	"encoding/gob"
	"fmt"
	"log/slog"

	_ "image/png"

	"example.com/app/lib"
)

func main() {
	lib.Threshold = 4
	lib.Unused = 2
	lib.Limit = 2
	lib.Scale = 3
	gob.Register(3)
	slog.Info("start")
	fmt.Println(lib.Over(context.Background(), 3))
}
-- cmd/good/main.go --
package main

import (
	"context"
	"encoding/gob"
	"fmt"
	"log/slog"

	"example.com/app/lib"
)

func main() {
	lib.Unused = 2
	gob.Register(3)
	slog.Info("start")
	fmt.Println(lib.Over(context.Background(), lib.Threshold))
}
`)
	lib := consumer{filepath.Join(c.dir, "lib")}
	if said, status := lib.offloadgen(); status != 0 {
		t.Fatalf("exit status %d\n%s", status, said)
	}
	vet := func(program string) (string, int) {
		var out bytes.Buffer
		status := run([]string{"vet", filepath.Join(c.dir, "cmd", program)}, &out, &out)
		return out.String(), status
	}
	if said, status := vet("good"); status != 0 {
		t.Errorf("a program that changes nothing: exit status %d\n%s", status, said)
	}
	said, status := vet("app")
	want := []string{
		"main.go:15:2: main changes example.com/app/lib.Threshold, which the module of example.com/app/lib reads and keeps as it was",
		"example.com/app/lib: its module reads image.atomicFormats, which the initialisation of image/png changes",
	}
	for _, w := range want {
		if status != 1 || !strings.Contains(said, w) {
			t.Errorf("exit status %d\n%s\nwant 1 and %q", status, said, w)
		}
	}
	if lines := strings.Count(strings.TrimSpace(said), "\n") + 1; lines != len(want) {
		t.Errorf("vet said %d lines; want %d:\n%s", lines, len(want), said)
	}
	lib.change(t, "lib.go", "n > Threshold", "n >= Threshold")
	if said, status := vet("good"); status != 1 || !strings.Contains(said, "the generated files are not current") {
		t.Errorf("after a change of the library: exit status %d\n%s", status, said)
	}
}
