package cachedir_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor/internal/cachedir"
)

func TestEvict(t *testing.T) {
	tests := []struct {
		why  string
		most int64
		want []string // what is left
	}{
		{"all fits", 40, []string{"a.code", "b.code", "c.code", "folder.code", "other"}},
		{"the oldest goes", 39, []string{"b.code", "c.code", "folder.code", "other"}},
		{"a folder counts what is in it, and goes with that", 20, []string{"b.code", "c.code", "other"}},
		{"the last one stays", 0, []string{"c.code", "other"}},
	}
	for _, tt := range tests {
		dir := filepath.Join(t.TempDir(), "with [brackets]")
		for k, name := range []string{"a.code", "folder.code", "b.code", "c.code", "other"} {
			top, at := filepath.Join(dir, name), time.Unix(int64(1000*k), 0)
			path := top
			if name == "folder.code" {
				path = filepath.Join(top, "x", "deep")
			}
			err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, make([]byte, 10), 0o600), os.Chtimes(top, at, at))
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := evict(dir, "*.code", tt.most); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Name())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("at most %d bytes: %v are left, want %v: %s", tt.most, got, tt.want, tt.why)
		}
	}
	gone := filepath.Join(t.TempDir(), "gone")
	root, err := cachedir.Open(gone)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := errors.Join(os.Remove(gone), cachedir.Evict(root, "*", 0)); err != nil {
		t.Errorf("a folder that is gone: %v", err)
	}
}

func evict(dir, pattern string, most int64) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return cachedir.Evict(root, pattern, most)
}
