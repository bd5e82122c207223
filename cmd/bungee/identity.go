package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
)

// hostIdentity opens the host's identity in dir. The user's own folder is filled when it has no authority, or
// one with which nobody can do anything any more.
func hostIdentity(dir string, log *slog.Logger) (*identity.Source, error) {
	dir, own, err := certsDir(dir)
	if err != nil {
		return nil, err
	}
	s, err := identity.Open(dir, identity.Host, log)
	why := useless(dir, err)
	if !own || why == nil {
		return s, err
	}
	if err := fill(dir, why, log); err != nil {
		return nil, err
	}
	return identity.Open(dir, identity.Host, log)
}

// certsDir returns dir, by default the user's own folder, and whether it is that.
func certsDir(dir string) (in string, own bool, err error) {
	if dir != "" {
		return dir, false, nil
	}
	dir, err = identity.Dir()
	return dir, true, err
}

// useless says why nothing is lost when other certificates take the place of those in dir, which were
// opened with err: there is no authority, it is one from before there were IDs, or it has ended, and all that it has signed
// with it. It returns nil if something might be.
func useless(dir string, err error) error {
	roots, noRoots := identity.ReadCertificates(filepath.Join(dir, identity.RootsFile), identity.MaxRoots)
	if errors.Is(noRoots, fs.ErrNotExist) {
		return noRoots
	}
	if r, ok := errors.AsType[*identity.Refusal](err); ok && r.Why == identity.NoID {
		return err
	}
	if noRoots != nil || err != nil {
		return nil
	}
	for _, c := range roots {
		if time.Now().Before(c.NotAfter) {
			return nil
		}
	}
	return identity.ErrExpired
}

// fill makes a throw-away authority and certificates in dir. What could not be used, because of why, is kept
// beside it.
func fill(dir string, why error, log *slog.Logger) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".certs-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := identity.Write(tmp); err != nil {
		return err
	}
	if files, err := os.ReadDir(dir); err == nil && len(files) > 0 {
		old := dir + time.Now().UTC().Format("-20060102T150405")
		log.Warn("certificates of this user cannot be used, and others are made; those before are kept", "in", old, "why", why)
		if err := os.Rename(dir, old); err != nil {
			return err
		}
	}
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, fs.ErrExist) { // else another host was faster
		return err
	}
	return nil
}
