package video

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// apt plays apt-get and dpkg-deb: the package it downloads is the archive.
func apt(t *testing.T, archive []byte, fails string) (func(context.Context, string, string, ...string) ([]byte, error), *int) {
	runs := new(int)
	return func(_ context.Context, dir, name string, args ...string) ([]byte, error) {
		*runs++
		switch {
		case name == fails:
			return nil, errors.New(name + " does not work")
		case name == "apt-get":
			return nil, os.WriteFile(filepath.Join(dir, debianPackage+"_1_all.deb"), nil, 0o644)
		case name == "dpkg-deb":
			return archive, nil
		}
		t.Errorf("%s %v was run", name, args)
		return nil, nil
	}, runs
}

func archive(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range files {
		err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o644})
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestOrder(t *testing.T) {
	t.Setenv("BUNGEE_VIDEO", "env.mp4")
	if path, why, err := Resolve(t.Context(), "mine.mp4", Options{}); path != "mine.mp4" || why == "" || err != nil {
		t.Errorf("asked for: %q, %q, %v", path, why, err)
	}
	if path, why, err := Resolve(t.Context(), "", Options{}); path != "env.mp4" || !strings.Contains(why, "BUNGEE_VIDEO") || err != nil {
		t.Errorf("named by the environment: %q, %q, %v", path, why, err)
	}
}

func TestFetchedOnce(t *testing.T) {
	t.Setenv("BUNGEE_VIDEO", "")
	run, runs := apt(t, archive(t, map[string]string{"./other": "x", inPackage: "frames"}), "")
	opt := Options{CacheDir: filepath.Join(t.TempDir(), "video"), Run: run}
	for range 2 {
		path, _, err := Resolve(t.Context(), "", opt)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); string(b) != "frames" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	}
	if *runs != 2 {
		t.Errorf("%d programs were run, want apt-get and dpkg-deb once each", *runs)
	}
	if left, _ := os.ReadDir(opt.CacheDir); len(left) != 1 {
		t.Errorf("left in the cache: %v", left)
	}
}

func TestFetchFails(t *testing.T) {
	t.Setenv("BUNGEE_VIDEO", "")
	whole := archive(t, map[string]string{inPackage: "frames"})
	tests := []struct {
		name, fails string
		archive     []byte
		want        string
	}{
		{"no apt-get", "apt-get", whole, "-video"},
		{"no dpkg-deb", "dpkg-deb", whole, "-video"},
		{"package without it", "", archive(t, map[string]string{"./x": ""}), "has no"},
		{"cut package", "", whole[:515], "BUNGEE_VIDEO"},
		{"no archive", "", []byte("noise"), "BUNGEE_VIDEO"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			run, _ := apt(t, tt.archive, tt.fails)
			dir := t.TempDir()
			_, _, err := Resolve(t.Context(), "", Options{CacheDir: dir, Run: run})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want one that says %q", err, tt.want)
			}
			if left, _ := os.ReadDir(dir); len(left) != 0 {
				t.Errorf("left in the cache: %v", left)
			}
		})
	}
}
