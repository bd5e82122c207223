package cachedir_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/bungee-xr/bungee/executor/internal/cachedir"
)

func TestMake(t *testing.T) {
	base := t.TempDir()
	path := func(name string) string { return filepath.Join(base, name) }
	err := errors.Join(os.Mkdir(path("open"), 0o700), os.Chmod(path("open"), 0o770),
		os.Mkdir(path("own"), 0o700), os.WriteFile(path("file"), nil, 0o600), os.Symlink(path("own"), path("link")))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		ok      bool
		private bool // the error is ErrNotPrivate
		why     string
	}{
		{"own", true, false, "the user's own, mode 0700"},
		{"new/deep", true, false, "made when missing"},
		{"open", false, true, "the group may write"},
		{"file", false, true, "no folder"},
		{"link", false, true, "who may change the link may change what is run"},
		{"file/below", false, false, "cannot be made: not a matter of trust"},
	}
	for _, tt := range tests {
		err := cachedir.Make(path(tt.name))
		if (err == nil) != tt.ok || errors.Is(err, cachedir.ErrNotPrivate) != tt.private {
			t.Errorf("%s: got %v, want ok %t: %s", tt.name, err, tt.ok, tt.why)
		}
	}
}
