// Package video finds a video for the demo and for experiments. None is part of the repository.
package video

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// The last resort is pedestrians filmed from above, in Debian's package
// opencv-doc, which is 92 MB because of all the rest that it holds.
const (
	debianPackage = "opencv-doc"
	inPackage     = "./usr/share/doc/opencv-doc/examples/data/" + fileName
	fileName      = "vtest.avi"
)

// maxVideo bounds what is taken out of the package.
const maxVideo = 64 << 20

// Options configure Resolve. The zero Options are ready to use.
type Options struct {
	// CacheDir is where the video from Debian is kept. Empty means bungee/video
	// in the user's cache folder.
	CacheDir string
	// Say is told what takes long. Nil is quiet.
	Say func(what string)
	// Run runs a program in dir and returns what it printed. Nil means to do so.
	Run func(ctx context.Context, dir string, name string, args ...string) ([]byte, error)
}

// Resolve returns the path of a video and a sentence that says where it is from:
// name when it is not empty, else what BUNGEE_VIDEO names, else one taken out of a
// Debian package, once.
func Resolve(ctx context.Context, name string, opt Options) (path, why string, err error) {
	if name != "" {
		return name, "it was asked for", nil
	}
	if env := os.Getenv("BUNGEE_VIDEO"); env != "" {
		return env, "BUNGEE_VIDEO names it", nil
	}
	if opt.CacheDir == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return "", "", fmt.Errorf("no place to keep a video: %w; name one with -video", err)
		}
		opt.CacheDir = filepath.Join(dir, "bungee", "video")
	}
	if opt.Run == nil {
		opt.Run = run
	}
	if opt.Say == nil {
		opt.Say = func(string) {}
	}
	path = filepath.Join(opt.CacheDir, fileName)
	if _, err := os.Stat(path); err == nil {
		return path, "it is in the cache", nil
	}
	if err := fetch(ctx, path, opt); err != nil {
		return "", "", fmt.Errorf("no video: %w; name one with -video or BUNGEE_VIDEO", err)
	}
	return path, "it was taken out of Debian's package " + debianPackage, nil
}

// fetch downloads the package, which needs no rights, and takes the video out.
func fetch(ctx context.Context, path string, opt Options) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	opt.Say("fetching a video out of Debian's package " + debianPackage + ", 92 MB, once")
	if _, err := opt.Run(ctx, dir, "apt-get", "download", "-q", debianPackage); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(dir, debianPackage+"_*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("apt-get download %s left %d packages, not one", debianPackage, len(debs))
	}
	archive, err := opt.Run(ctx, dir, "dpkg-deb", "--fsys-tarfile", debs[0])
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, fileName)
	if err := extract(bytes.NewReader(archive), inPackage, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// extract writes the file called name of a tar archive to path.
func extract(archive io.Reader, name, path string) error {
	r := tar.NewReader(archive)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return fmt.Errorf("the package has no %s", name)
		}
		if err != nil {
			return fmt.Errorf("package: %w", err)
		}
		if h.Name != name {
			continue
		}
		if h.Size > maxVideo {
			return fmt.Errorf("%s has %d bytes, over %d", name, h.Size, maxVideo)
		}
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		_, err = io.CopyN(f, r, h.Size)
		return errors.Join(err, f.Close())
	}
}

func run(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("%s %s: %w: %.300s", name, args[0], err, bytes.TrimSpace(exit.Stderr))
	}
	return out, err
}
