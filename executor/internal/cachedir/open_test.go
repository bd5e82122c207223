//go:build unix

package cachedir_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/executor/internal/cachedir"
)

// stranger is a user that is neither root nor whoever runs the tests.
const stranger = 54321

// TestParents goes through folders above the cache that others could change, and ones that
// only look as if.
func TestParents(t *testing.T) {
	tests := []struct {
		why     string
		prepare func(base string) error
		ok      bool
		word    string
	}{
		{"all are the user's own", func(string) error { return nil }, true, ""},
		{"others may write, as to a shared folder", func(b string) error { return os.Chmod(b+"/a", 0o777) }, false, "go-w"},
		{"the group may", func(b string) error { return os.Chmod(b+"/a", 0o775) }, false, "/a,"},
		{"others may write, and not rename what is not theirs, as in /tmp", func(b string) error { return os.Chmod(b+"/a", 0o777|os.ModeSticky) }, true, ""},
		{"others may look", func(b string) error { return os.Chmod(b+"/a/b", 0o755) }, true, ""},
		{"another user's", func(b string) error { return os.Chown(b+"/a", stranger, stranger) }, false, "another user"},
		{"another user's, further below", func(b string) error { return os.Chown(b+"/a/b", stranger, stranger) }, false, "/b,"},
		{"the cache itself another user's", func(b string) error {
			return errors.Join(os.Mkdir(b+"/a/b/cache", 0o700), os.Chown(b+"/a/b/cache", stranger, stranger))
		}, false, "of your own"},
		{"through a link of the user's own", func(b string) error {
			return errors.Join(os.Rename(b+"/a/b", b+"/real"), os.Symlink("../real", b+"/a/b"))
		}, true, ""},
		{"through an absolute one", func(b string) error {
			return errors.Join(os.Rename(b+"/a/b", b+"/real"), os.Symlink(b+"/real", b+"/a/b"))
		}, true, ""},
		{"through a link into a folder where others may write", func(b string) error {
			return errors.Join(os.Mkdir(b+"/open", 0o777), os.Chmod(b+"/open", 0o777), os.Mkdir(b+"/open/real", 0o700),
				os.Remove(b+"/a/b"), os.Symlink(b+"/open/real", b+"/a/b"))
		}, false, "/open,"},
		{"through a link of another user's", func(b string) error {
			return errors.Join(os.Rename(b+"/a/b", b+"/real"), os.Symlink(b+"/real", b+"/a/b"), os.Lchown(b+"/a/b", stranger, stranger))
		}, false, "the link"},
		{"through a link to itself", func(b string) error {
			return errors.Join(os.Remove(b+"/a/b"), os.Symlink("b", b+"/a/b"))
		}, false, "too many"},
	}
	for _, tt := range tests {
		base, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(base, "a", "b"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := tt.prepare(base); errors.Is(err, os.ErrPermission) {
			t.Logf("%s: not tried; as root run go test -run TestParents ./executor/internal/cachedir", tt.why)
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		root, err := cachedir.Open(filepath.Join(base, "a", "b", "cache"))
		if err == nil {
			root.Close()
		}
		if (err == nil) != tt.ok || err != nil && !strings.Contains(err.Error(), tt.word) {
			t.Errorf("%s: got %v; want ok %t, or an error with %q", tt.why, err, tt.ok, tt.word)
		}
	}
}

// TestOpenHoldsWhatItSaw has the folder replaced after it was opened: what is used is the
// one that was looked at.
func TestOpenHoldsWhatItSaw(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	root, err := cachedir.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	err = errors.Join(root.WriteFile("code", []byte("mine"), 0o600), os.Rename(dir, dir+".old"),
		os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "code"), []byte("theirs"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := root.ReadFile("code"); err != nil || string(got) != "mine" {
		t.Errorf("got %q, %v; want what was written before", got, err)
	}
}
