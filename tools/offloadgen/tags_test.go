package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestTags has a function with another version for a tag, and an init function of another:
// a build whose tags are not those of the module does not compile, and says what to run.
func TestTags(t *testing.T) {
	long(t)
	c := newConsumer(t, light, `
-- app.go --
package app

import "context"

var table = map[string]int{}

//offload:func
func speed(ctx context.Context) (int, error) { return version() + table["more"], nil }
-- fast.go --
//go:build fast

package app

func version() int { return 2 }
-- slow.go --
//go:build !fast

package app

func version() int { return 1 }
-- more.go --
//go:build more && linux

package app

func init() { table["more"] = 10 }
-- other.go --
//go:build other

package app

func unread() {}
`)
	generated := func(args ...string) {
		t.Helper()
		if said, status := c.offloadgen(args...); status != 0 {
			t.Fatalf("offloadgen %q: exit status %d\n%s", args, status, said)
		}
	}
	tests := []struct{ tags, made, cure string }{
		{"", "", ""},
		{"fast", "", "the Wasm module was made without -tags=fast; to have it so, too, run: go tool offloadgen -tags=fast"},
		{"more", "", "go tool offloadgen -tags=more"},
		{"other", "", ""},
		{"fast", "fast", ""},
		{"", "fast", "the Wasm module was made with -tags=fast; to have it so, too, run: go tool offloadgen\""},
	}
	made := "none"
	for _, tt := range tests {
		if made != tt.made {
			generated("-tags=" + tt.made)
			made = tt.made
		}
		out, ok := c.goRun(t, "vet", "-tags="+tt.tags, ".")
		if ok != (tt.cure == "") || !strings.Contains(out, tt.cure) {
			t.Errorf("-tags=%s on a module made with -tags=%s: %t, %q; want %q", tt.tags, tt.made, ok, out, tt.cure)
		}
	}
	m := instantiate(t, unzip(t, filepath.Join(c.dir, wasmFile)))
	if got, want := m.call(t, 0, "90"), "0002"; got != want {
		t.Errorf("the module made with -tags=fast answers %s; want %s", got, want)
	}
	for args, want := range map[string]int{"-tags=fast": 0, "-tags=": 1} {
		if said, status := c.offloadgen("-check", args); status != want {
			t.Errorf("-check %s of a module made with -tags=fast: exit status %d, %q; want %d", args, status, said, want)
		}
	}
	c.change(t, "fast.go", "return 2", "return 3")
	if said, status := c.offloadgen("-check", "-tags=fast"); status != 1 || !strings.Contains(said, "run: go generate") {
		t.Errorf("-check after a change of a body: exit status %d, %q; want 1, and what to run", status, said)
	}
}
