package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const small = `
-- small.go --
package small

import (
	"context"
	_ "embed"

	"example.com/app/dep"
)

//go:embed word.txt
var word string

//offload:func
func say(ctx context.Context) (string, error) { return dep.Word() + word, nil }

//offload:endpoint
type teller struct{ Told int }

func (t *teller) Handle(ctx context.Context, word string) (int, error) { t.Told++; return t.Told, nil }
-- small_test.go --
package small
-- word.txt --
embedded
-- dep/dep.go --
package dep

func Word() string { return "word" }
`

var outputs = []string{offloadFile, guestFile, moduleFile, wasmFile}

func contents(t *testing.T, dir string) map[string]string {
	got := map[string]string{}
	for _, name := range outputs {
		got[name] = get(t, filepath.Join(dir, name))
	}
	return got
}

// TestSameEverywhere generates in two checkouts and compares all bytes.
func TestSameEverywhere(t *testing.T) {
	a, b := t.TempDir(), filepath.Join(t.TempDir(), "another", "checkout")
	for _, dir := range []string{a, b} {
		makeModule(t, dir, small)
		generate(t, dir)
	}
	if diff := cmp.Diff(contents(t, a), contents(t, b)); diff != "" {
		t.Errorf("the same package in %s and %s gave other files:\n%.2000s", a, b, diff)
	}
}

// TestCurrent checks what makes a run generate again, and what does not, on
// copies of a package that was generated in another directory.
func TestCurrent(t *testing.T) {
	made := t.TempDir()
	makeModule(t, made, small)
	generate(t, made)
	tests := []struct {
		why    string
		change func(dir string)
		want   bool
	}{
		{"nothing", func(string) {}, true},
		{"a test is not in the guest", add("small_test.go"), true},
		{"nor is a package that it does not import", edit("other/other.go", "package other\n"), true},
		{"other line ends are the same text", crlf("dep/dep.go"), true},
		{"the file with the marks has changed", add("small.go"), false},
		{"a package of the guest has changed", add("dep/dep.go"), false},
		{"a package of the guest has one more file", edit("dep/more.go", "package dep\n"), false},
		{"an embedded file has changed", edit("word.txt", "other"), false},
		{"go.mod has changed", add("go.mod"), false},
		{"a generated file was edited", add(offloadFile), false},
		{"a generated file is gone", remove(wasmFile), false},
		{"the stamp is gone", remove(moduleFile), false},
	}
	for _, tt := range tests {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(made)); err != nil {
			t.Fatal(err)
		}
		tt.change(dir)
		if got := current(goCmd{dir: dir}, dir); got != tt.want {
			t.Errorf("%s: current is %t; want %t", tt.why, got, tt.want)
		}
	}
}

func edit(name, text string) func(string) {
	return func(dir string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			panic(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			panic(err)
		}
	}
}

func changed(name string, change func(text string) string) func(string) {
	return func(dir string) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			panic(err)
		}
		edit(name, change(string(text)))(dir)
	}
}

func add(name string) func(string) {
	return changed(name, func(text string) string { return text + "\n// changed\n" })
}

func crlf(name string) func(string) {
	return changed(name, func(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") })
}

func remove(name string) func(string) {
	return func(dir string) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			panic(err)
		}
	}
}

// TestSecondRun checks that a second run does nothing, -force does all, and a
// change of the sources is taken up.
func TestSecondRun(t *testing.T) {
	dir := t.TempDir()
	makeModule(t, dir, small)
	generate(t, dir)
	before := contents(t, dir)
	if said := generate(t, dir, "-v"); !strings.Contains(said, "nothing has changed") || strings.Contains(said, "built") {
		t.Errorf("the second run said:\n%s", said)
	}
	if said := generate(t, dir, "-v", "-force"); !strings.Contains(said, "built the guest") {
		t.Errorf("with -force it said:\n%s", said)
	}
	if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
		t.Errorf("-force changed files:\n%.2000s", diff)
	}
	edit("word.txt", "another word")(dir)
	generate(t, dir)
	after := contents(t, dir)
	if after[wasmFile] == before[wasmFile] || after[moduleFile] == before[moduleFile] || after[offloadFile] != before[offloadFile] {
		t.Error("after a change of what is embedded: want another module and digest, and the same stubs")
	}
}

// TestErrorWritesNothing checks that a failed run leaves the old files alone.
func TestErrorWritesNothing(t *testing.T) {
	dir := t.TempDir()
	makeModule(t, dir, small)
	generate(t, dir)
	before := contents(t, dir)
	tests := []struct{ why, text, want string }{
		{"no mark", "package small\n", "nothing is marked; write //offload:func"},
		{"a file that does not parse", "package small\nfunc {", "small.go:2:6: "},
		{"a mistake in a marked function", strings.Replace(get(t, filepath.Join(dir, "small.go")), "dep.Word()", "dep.Wort()", 1), "small.go:14:"},
		{"an unused variable", strings.Replace(get(t, filepath.Join(dir, "small.go")), "{ return", "{ x := 1; return", 1), "small.go:14:49: declared and not used: x"},
	}
	for _, tt := range tests {
		put(t, filepath.Join(dir, "small.go"), tt.text)
		var stdout, stderr bytes.Buffer
		if status := run([]string{dir}, &stdout, &stderr); status != 1 || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("%s: exit status %d, %q; want 1 and %q", tt.why, status, &stderr, tt.want)
		}
		if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
			t.Errorf("%s: files changed:\n%.2000s", tt.why, diff)
		}
	}
}

// TestForeignFile checks that a file which is not the tool's is not overwritten.
func TestForeignFile(t *testing.T) {
	for _, name := range []string{offloadFile, testFile} {
		dir := t.TempDir()
		makeModule(t, dir, small+"-- "+name+" --\npackage small\n")
		var stdout, stderr bytes.Buffer
		if status := run([]string{dir}, &stdout, &stderr); status != 1 || !strings.Contains(stderr.String(), "rename it") {
			t.Errorf("%s: exit status %d, %q; want 1 and the advice to rename the file", name, status, &stderr)
		}
	}
}

func TestUsage(t *testing.T) {
	tests := []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"-h"}, 0, "usage: offloadgen"},
		{[]string{"-nosuch"}, 2, "usage: offloadgen"},
		{[]string{"a", "b"}, 2, "usage: offloadgen"},
		{[]string{filepath.Join(t.TempDir(), "none")}, 1, "no such file"},
		{[]string{t.TempDir()}, 1, "nothing is marked"},
	}
	for _, tt := range tests {
		var stdout, stderr bytes.Buffer
		if status := run(tt.args, &stdout, &stderr); status != tt.status || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("offloadgen %q: exit status %d, %q; want %d, %q", tt.args, status, &stderr, tt.status, tt.want)
		}
	}
}

// TestNothingLocal checks that the second run does nothing in a module whose guest has no
// package that can change, since it gets ours as a release.
func TestNothingLocal(t *testing.T) {
	c := newConsumer(t, light, "-- plain.go --\npackage plain\n\nimport \"context\"\n\n//offload:func\nfunc twice(ctx context.Context, n int) (int, error) { return 2 * n, nil }\n")
	if said, status := c.offloadgen(); status != 0 {
		t.Fatalf("exit status %d\n%s", status, said)
	}
	if said, status := c.offloadgen("-v"); status != 0 || !strings.Contains(said, "nothing has changed") {
		t.Errorf("the second run: exit status %d\n%s", status, said)
	}
	c.change(t, "plain.go", "2 * n", "3 * n")
	if said, status := c.offloadgen("-v"); status != 0 || !strings.Contains(said, "built the guest") {
		t.Errorf("after a change of a body: exit status %d\n%s", status, said)
	}
}
