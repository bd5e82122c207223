package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSlice checks what is in the guest's sources and what is not.
func TestSlice(t *testing.T) {
	const head = "-- a.go --\npackage a\n\nimport \"context\"\n\n//offload:func\nfunc marked(ctx context.Context) error { return use() }\n"
	tests := []struct {
		why, files string
		must, not  []string
	}{
		{
			"what is reached through a variable is in, what is beside it is not",
			"-- b.go --\npackage a\nvar (\n\ttable = []func() error{deep}\n\tother = wide()\n)\nfunc use() error { return table[0]() }\nfunc deep() error { return nil }\nfunc wide() error { return nil }\n",
			[]string{"table = ", "func deep"}, []string{"other", "wide"},
		},
		{
			"constants of a group count on each other",
			"-- b.go --\npackage a\nconst (\n\tfirst = iota\n\tsecond\n)\nconst lone = 1\nfunc use() error { _ = second; return nil }\n",
			[]string{"first = iota", "second"}, []string{"lone"},
		},
		{
			"an interface may call any method of a type",
			"-- b.go --\npackage a\ntype e struct{}\nfunc (e) Error() string { return text() }\nfunc (*e) Unwrap() error { return nil }\nfunc text() string { return \"\" }\nfunc use() error { return e{} }\ntype unused struct{}\nfunc (unused) Method() {}\n",
			[]string{"Error()", "Unwrap()", "func text"}, []string{"Method", "unused"},
		},
		{
			"a generic type and its methods",
			"-- b.go --\npackage a\ntype box[T any] struct{ v T }\nfunc (b *box[T]) get() T { return b.v }\nfunc use() error { b := box[error]{}; return b.get() }\n",
			[]string{"type box", "get()"}, nil,
		},
		{
			"a method of an embedded type",
			"-- b.go --\npackage a\ntype inner struct{}\nfunc (inner) do() error { return nil }\ntype outer struct{ inner }\nfunc use() error { return outer{}.do() }\n",
			[]string{"type inner", "do()"}, nil,
		},
		{
			"imports go with what used them; embed and its directive stay",
			"-- x.txt --\nx\n-- b.go --\npackage a\nimport (\n\t_ \"embed\"\n\t\"fmt\"\n\t\"os\"\n)\n//go:embed x.txt\nvar x string\nvar y = os.Args\nfunc use() error { return fmt.Errorf(x) }\n",
			[]string{"\"fmt\"", "\"embed\"", "//go:embed x.txt"}, []string{"\"os\"", "Args"},
		},
		{
			"a dot import",
			"-- b.go --\npackage a\nimport . \"errors\"\nimport . \"strings\"\nfunc use() error { return New(\"x\") }\nfunc no() string { return ToUpper(\"\") }\n",
			[]string{"\"errors\""}, []string{"\"strings\""},
		},
		{
			"two declarations on a line",
			"-- b.go --\npackage a\nvar ( x = 1; y = 2 )\nfunc use() error { _ = x; return nil }; func no() {}\n",
			[]string{"x = 1"}, []string{"y = 2", "no()"},
		},
		{
			"linknames of what is gone are gone",
			"-- b.go --\npackage a\nimport _ \"unsafe\"\n//go:linkname gone runtime.gone\n\nfunc gone()\nfunc use() error { return nil }\n",
			nil, []string{"linkname", "gone"},
		},
		{
			"a parameter hides a package-level name",
			"-- b.go --\npackage a\nfunc hidden() {}\nfunc use() error { return with(1) }\nfunc with(hidden int) error { _ = hidden; return nil }\n",
			[]string{"func with"}, []string{"func hidden"},
		},
		{
			"init functions are out, except in files that only guests have",
			"-- b.go --\npackage a\nfunc init() { println(\"both\") }\nfunc use() error { return nil }\n-- c_wasip1.go --\npackage a\nfunc init() { println(\"guest\") }\n",
			[]string{"\"guest\""}, []string{"\"both\""},
		},
		{
			"a file for all systems but one is not one that only guests have",
			"-- b.go --\npackage a\nfunc use() error { return nil }\n-- c.go --\n//go:build !linux\n\npackage a\nfunc init() { println(\"no linux\") }\n",
			nil, []string{"no linux"},
		},
	}
	for _, tt := range tests {
		s, e, err := sliced(t, head+tt.files)
		if err != nil {
			t.Errorf("%s: %v", tt.why, err)
			continue
		}
		var all strings.Builder
		for name, text := range generatedFiles(t, s, e) {
			if strings.HasPrefix(name, "want/slice_") {
				all.WriteString(text)
			}
		}
		for _, want := range tt.must {
			if !strings.Contains(all.String(), want) {
				t.Errorf("%s: %q is missing in\n%s", tt.why, want, &all)
			}
		}
		for _, bad := range tt.not {
			if strings.Contains(all.String(), bad) {
				t.Errorf("%s: %q is in\n%s", tt.why, bad, &all)
			}
		}
	}
}

// TestTold checks what the developer is told at every generate.
func TestTold(t *testing.T) {
	s, _, err := sliced(t, `
-- a.go --
package a

import (
	"context"
	"os"
	"runtime"
)

//offload:module folders=maps

var calls int

type camera struct{ dir string }

func (c camera) frame() []byte { return native(c.dir) }

//offload:func
func read(ctx context.Context) (string, error) {
	calls++
	_, err := os.Stat("map")
	return runtime.GOOS + os.Getenv("HOME") + name(), err
}

func name() string { h, _ := os.Hostname(); return h + camera{}.dir }
-- native.go --
//go:build !wasip1

package a

func native(dir string) []byte { return nil }
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"method camera.frame panics in the guest: undefined: native (a.go:15:41)",
		"a.go:11:5: read changes calls (a.go:19:2): natively all calls share it, and on an edge host the calls of one instance; if no result depends on that, write //offload:constant above it",
		"a.go:21:17: read: runtime.GOOS is that of the module: wasip1, wasm, one core",
		"a.go:21:27: read: os.Getenv finds on an edge host what //offload:module env= asks for, and nothing else",
		"a.go:24:33: read reaches name: os.Hostname is on an edge host not what it is on the UE",
	}
	if diff := cmp.Diff(want, s.told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}
