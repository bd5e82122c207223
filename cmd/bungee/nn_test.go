package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/model"
	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
)

func nnFlagsOf(t *testing.T, args ...string) (nnOptions, error) {
	t.Helper()
	var o nnOptions
	fl := pflag.NewFlagSet("host", pflag.ContinueOnError)
	nnFlags(fl, &o)
	return o, fl.Parse(args)
}

func TestNNFlags(t *testing.T) {
	tests := []struct {
		name, why string
		args      []string
		ok        bool
		provider  string
		options   map[string]string
	}{
		{"none", "the CPU", nil, true, "cpu", map[string]string{}},
		{"cuda", "its first device", []string{"--nn-device", "cuda"}, true, "cuda", map[string]string{}},
		{"second device", "and an option", []string{"--nn-device", "cuda:1", "--nn-device-options", "gpu_mem_limit=1"}, true,
			"cuda", map[string]string{"device_id": "1", "gpu_mem_limit": "1"}},
		{"unknown backend", "a slip", []string{"--nn", "tensorflow"}, false, "", nil},
		{"unknown device", "a slip", []string{"--nn-device", "tpu"}, false, "", nil},
		{"no device", "a colon and nothing", []string{"--nn-device", "cuda:"}, false, "", nil},
	}
	for _, tt := range tests {
		o, err := nnFlagsOf(t, tt.args...)
		if (err == nil) != tt.ok || err != nil && !strings.Contains(err.Error(), "want ") {
			t.Errorf("%s: %v; want ok %t, else an error that says what it may be (%s)", tt.name, err, tt.ok, tt.why)
			continue
		}
		if provider, options := o.provider(); tt.ok && (provider != tt.provider || !maps.Equal(options, tt.options)) {
			t.Errorf("%s: provider %s, %v; want %s, %v", tt.name, provider, options, tt.provider, tt.options)
		}
	}
}

// TestWhoRunsWhat says which backend gets an ONNX file and which a Darknet one.
func TestWhoRunsWhat(t *testing.T) {
	models := []model.Model{
		{Name: "a", Files: []model.File{{Path: "x/a.onnx"}}},
		{Name: "b", Files: []model.File{{Path: "x/b.weights"}, {Path: "x/b.cfg"}}},
	}
	for mode, want := range map[string]string{"auto": "a,b", "onnx": "ab,", "opencv": ",ab"} {
		o := nnOptions{backend: mode}
		got := ""
		forONNX, forOpenCV := o.split(models)
		for _, m := range forONNX {
			got += m.Name
		}
		got += ","
		for _, m := range forOpenCV {
			got += m.Name
		}
		if got != want {
			t.Errorf("--nn %s: ONNX Runtime and OpenCV get %q; want %q", mode, got, want)
		}
	}
}

// TestBackends has several backends be one.
func TestBackends(t *testing.T) {
	closed := 0
	first := served{empty{}, empty{}, func() error { closed++; return nil }}
	mean := nntest.Mean()
	all := backends{first, {mean, mean, func() error { closed++; return nil }}}
	if _, err := all.Graph(nntest.Name); err != nil {
		t.Errorf("Graph of the second backend = %v", err)
	}
	if _, err := all.Graph("none"); !errors.Is(err, nn.ErrNoGraph) {
		t.Errorf("Graph of nobody's = %v; want ErrNoGraph", err)
	}
	if name, ok := all.Find(nntest.Digest()); !ok || name != nntest.Name {
		t.Errorf("Find = %q, %t; want %s", name, ok, nntest.Name)
	}
	if err := all.close(); err != nil || closed != 2 {
		t.Errorf("close = %v, %d were closed; want 2", err, closed)
	}
}

// empty is a backend without networks.
type empty struct{}

func (empty) Graph(string) (nn.BackendGraph, error) { return nil, nn.ErrNoGraph }

func (empty) Find([sha256.Size]byte) (string, bool) { return "", false }

// A host whose operator has asked for no network says in a short line that it serves none, and warns of nothing.
func TestNoNetworkWasAskedFor(t *testing.T) {
	t.Setenv("BUNGEE_MODELS", "")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir()) // where there is no XDG
	o, err := nnFlagsOf(t)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	models, err := o.resolve(t.Context(), slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil || len(models) != 0 {
		t.Fatalf("%v, %v; want no network and no error", models, err)
	}
	const longest = 200
	if text := said.String(); strings.Count(text, "\n") != 1 || len(text) > longest || strings.Contains(text, "WARN") || !strings.Contains(text, "--model") {
		t.Errorf("it says %q; want one short line that names --model", text)
	}
}
