package cachedir_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// What makes room belongs to the owner that has most.
func TestEvictIsFair(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	type mark struct {
		owner, name string
		at          time.Time
	}
	tests := []struct {
		why   string
		most  int64
		marks []mark
		want  []string
	}{
		{"who has much makes room, though it uses it", 30, []mark{
			{"quiet", "a", ago(time.Hour)}, {"hog", "b", ago(4)}, {"hog", "c", ago(3)}, {"hog", "d", ago(2)}}, []string{"a", "c", "d"}},
		{"down to an equal share, and then what was not used for longest", 20, []mark{
			{"quiet", "a", ago(time.Hour)}, {"hog", "b", ago(4)}, {"hog", "c", ago(3)}, {"hog", "d", ago(2)}}, []string{"a", "d"}},
		{"equal owners", 30, []mark{
			{"x", "a", ago(4)}, {"y", "b", ago(5)}, {"x", "c", ago(2)}, {"y", "d", ago(1)}}, []string{"a", "c", "d"}},
		{"who has come for a day no more keeps nothing", 30, []mark{
			{"gone", "a", ago(25 * time.Hour)}, {"hog", "b", ago(4)}, {"hog", "c", ago(3)}, {"hog", "d", ago(2)}}, []string{"b", "c", "d"}},
		{"what nobody has marked goes first", 30, []mark{
			{"hog", "b", ago(4)}, {"hog", "c", ago(3)}, {"hog", "d", ago(2)}}, []string{"b", "c", "d"}},
		{"what another one uses stays", 20, []mark{
			{"hog", "a", ago(9)}, {"quiet", "a", ago(8)}, {"hog", "b", ago(7)}, {"hog", "c", ago(6)}, {"hog", "d", ago(5)}}, []string{"a", "d"}},
		{"the last one stays", 0, []mark{
			{"x", "a", ago(4)}, {"y", "b", ago(5)}, {"x", "c", ago(2)}, {"y", "d", ago(1)}}, []string{"d"}},
	}
	for _, tt := range tests {
		dir := t.TempDir()
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "b", "c", "d"} {
			path := filepath.Join(dir, name)
			if err := errors.Join(os.WriteFile(path, make([]byte, 10), 0o600), os.Chtimes(path, ago(time.Hour), ago(time.Hour))); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range tt.marks {
			if err := cachedir.Mark(root, m.owner, m.name); err != nil {
				t.Fatal(err)
			}
			setUsed(t, root, m.owner, m.name, m.at)
		}
		if err := errors.Join(cachedir.Evict(root, "*", tt.most), root.Close()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, name := range []string{"a", "b", "c", "d"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				got = append(got, name)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("at most %d bytes: %v are left, want %v: %s", tt.most, got, tt.want, tt.why)
		}
	}
}

// setUsed sets the time of a mark, which is the only one that was made since the one before.
func setUsed(t *testing.T, root *os.Root, owner, name string, at time.Time) {
	t.Helper()
	marks, err := filepath.Glob(filepath.Join(root.Name(), name+".*.own"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range marks {
		info, err := os.Stat(m)
		if used, ok := cachedir.Used(root, owner, name); err != nil || !ok || !info.ModTime().Equal(used) {
			continue
		}
		if err := os.Chtimes(m, at, at); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("no mark of %q at %q", owner, name)
}

// Whatever an owner is called, its mark is a file in the folder, and no other owner's.
func TestMarkLeadsNowhere(t *testing.T) {
	above := t.TempDir()
	dir := filepath.Join(above, "cache")
	root, err := cachedir.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	owners := []string{"", ".", "..", "../x", "/etc/passwd", "a/b", "a\x00b", "a.own", strings.Repeat("long", 1000), "a", "A"}
	for i, owner := range owners {
		if _, ok := cachedir.Used(root, owner, "m"); ok {
			t.Errorf("%q is said to use what only others have marked", owner)
		}
		if err := cachedir.Mark(root, owner, "m"); err != nil {
			t.Errorf("%q: %v", owner, err)
		}
		if _, ok := cachedir.Used(root, owner, "m"); !ok {
			t.Errorf("%q: no mark", owner)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != i+1 {
			t.Fatalf("%q: %d files, %v; want %d marks", owner, len(entries), err, i+1)
		}
	}
	for _, owner := range owners {
		if err := errors.Join(cachedir.Unmark(root, owner, "m"), cachedir.Unmark(root, owner, "m")); err != nil {
			t.Errorf("%q: %v", owner, err)
		}
	}
	if entries, err := os.ReadDir(above); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v above the folder, want it alone", entries, err)
	}
}
