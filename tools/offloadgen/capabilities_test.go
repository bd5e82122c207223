package main

import (
	"bytes"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
)

// TestAsk reads lines of //offload:module.
func TestAsk(t *testing.T) {
	tests := []struct {
		why, lines string
		want       capability.Manifest
	}{
		{"a Go guest reads clock and random numbers", "", capability.Manifest{Clock: true, Random: true}},
		{"but not a deterministic one", "//offload:module deterministic\n", capability.Manifest{Deterministic: true}},
		{"lists add up", "//offload:module models=a,b connect=c:1\n//offload:module models=d env=E,F\n", capability.Manifest{
			Models: []string{"a", "b", "d"}, Connect: []string{"c:1"}, Env: []string{"E", "F"}, Clock: true, Random: true,
		}},
		{"all models", "//offload:module models=*\n", capability.Manifest{Models: []string{"*"}, Clock: true, Random: true}},
		{"folders", "//offload:module folders=maps,/var/logs:write\n", capability.Manifest{
			Folders: []capability.Folder{{Name: "maps"}, {Name: "/var/logs", Write: true}}, Clock: true, Random: true,
		}},
		{"limits", "//offload:module memory=64MiB output=1MiB fuel=1_000_000 deadline=100ms class=real-time\n", capability.Manifest{
			Clock: true, Random: true, Class: capability.RealTime,
			Limits: capability.Limits{Memory: 64 << 20, Output: 1 << 20, Fuel: 1e6, Deadline: 100 * time.Millisecond},
		}},
	}
	for _, tt := range tests {
		dir := t.TempDir()
		put(t, filepath.Join(dir, "a.go"), "package a\n\n"+tt.lines)
		s, bad, err := readSource(dir)
		if err != nil {
			t.Fatal(err)
		}
		a := findAsk(s, bad)
		if err := bad.err(); err != nil || !reflect.DeepEqual(a.Manifest, tt.want) {
			t.Errorf("%s: got %+v, %v; want %+v", tt.why, a.Manifest, err, tt.want)
		}
	}
}

const camera = `
-- camera.go --
package camera

import "context"

//offload:module env=REGION memory=64MiB

//offload:func
func shoot(ctx context.Context) (int32, error) { return hostShoot(), nil }
-- camera_native.go --
//go:build !wasip1

package camera

func hostShoot() int32 { return 0 }
-- camera_wasip1.go --
package camera

//go:wasmimport acme_camera shoot
func hostShoot() int32
`

// TestManifest looks at the manifest of a built module: the options, and the host
// modules that it imports from.
func TestManifest(t *testing.T) {
	dir := t.TempDir()
	makeModule(t, dir, camera)
	said := generate(t, dir, "-v")
	want := capability.Manifest{
		Host: []string{"acme_camera"}, Env: []string{"REGION"}, Clock: true, Random: true,
		Limits: capability.Limits{Memory: 64 << 20},
	}
	got, err := capability.Read(unzip(t, filepath.Join(dir, wasmFile)))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the module asks for %+v, %v; want %+v", got, err, want)
	}
	const asks = `{"host":["acme_camera"],"env":["REGION"],"clock":true,"random":true,"limits":{"memory":67108864}}`
	if text := get(t, filepath.Join(dir, moduleFile)); !strings.Contains(text, "// "+asks+"\n") || !strings.Contains(said, "the module asks for "+asks+"\n") {
		t.Errorf("%s or what -v says lacks %s:\n%s", moduleFile, asks, said)
	}
}

// TestGranular builds modules that call host functions which give nothing without an
// option.
func TestGranular(t *testing.T) {
	dir := t.TempDir()
	makeModule(t, dir, strings.ReplaceAll(camera, "acme_camera", "wasi_ephemeral_nn"))
	var stdout, stderr bytes.Buffer
	const want = "camera.go:5:1: the module calls wasi_ephemeral_nn, which gives nothing to a module that does not say what of it; write //offload:module models="
	if status := run([]string{dir}, &stdout, &stderr); status != 1 || !strings.Contains(stderr.String(), want) {
		t.Errorf("without models=: exit status %d, %q; want 1 and %q", status, &stderr, want)
	}
	changed("camera.go", func(text string) string { return strings.Replace(text, "env=REGION", "models=*", 1) })(dir)
	generate(t, dir)
	m, err := capability.Read(unzip(t, filepath.Join(dir, wasmFile)))
	if err != nil || !reflect.DeepEqual(m.Host, []string{"wasi_ephemeral_nn"}) || !reflect.DeepEqual(m.Models, []string{"*"}) {
		t.Errorf("with models=*: the module asks for %+v, %v", m, err)
	}
}
