package catalog

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/hostfunc/nn/catalog/internal/tfjs"
	"github.com/bungee-xr/bungee/hostfunc/nn/model"
)

// npmPackage has CenterNet on a MobileNetV3 as a TensorFlow.js graph model.
const npmPackage = "@vladmandic/human@3.3.6"

// npmFiles are the members that are used, as pinned.
var npmFiles = []model.File{
	{Path: "package/models/centernet.json", Size: 201673, SHA256: "bfb942eaacc5becf738d536663bc4580a0ae9e560722306e6d4dd7fe4a09de05"},
	{Path: "package/models/centernet.bin", Size: 4030290, SHA256: "1b635a15009071f506f9f2b3519b31c072c534888989f30d269ffd44734ef7ef"},
}

// errNPM is wrapped where the npm client could not get the package.
var errNPM = errors.New("npm pack")

// maxPackage bounds a package, packed or not. This one has 29 MB packed.
const maxPackage = 256 << 20

// fetchNPM gets the package by the npm client and converts its model.
func fetchNPM(ctx context.Context, o Options, e Entry) error {
	tmp, err := os.MkdirTemp("", "bungee-npm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	o.Progress(npmPackage, 0, 0)
	args := []string{"pack", npmPackage, "--ignore-scripts", "--loglevel=error",
		"--fetch-retries=1", "--fetch-timeout=60000", "--pack-destination=" + tmp}
	if err := o.NPM(ctx, tmp, args...); err != nil {
		return fmt.Errorf("%w %s: %w", errNPM, npmPackage, err)
	}
	packages, err := filepath.Glob(filepath.Join(tmp, "*.tgz"))
	if err != nil || len(packages) != 1 {
		return fmt.Errorf("npm pack %s left %d packages, not one", npmPackage, len(packages))
	}
	f, err := os.Open(packages[0])
	if err != nil {
		return err
	}
	defer f.Close()
	onnx, err := convertPackage(f)
	if err != nil {
		return fmt.Errorf("package %s: %w", npmPackage, err)
	}
	return store(o.CacheDir, e.Model.Files[0], &counted{r: bytes.NewReader(onnx),
		file: e.Model.Files[0].Path, total: int64(len(onnx)), report: o.Progress})
}

// convertPackage returns the model of a packed package as ONNX.
func convertPackage(r io.Reader) ([]byte, error) {
	parts, err := unpack(r, npmFiles)
	if err != nil {
		return nil, err
	}
	return tfjs.Convert(parts[0], parts[1], "tower_0/keypoints", "tower_0/wh")
}

// unpack returns the members of a package that files names, in that order,
// once they are as pinned.
func unpack(r io.Reader, files []model.File) ([][]byte, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	parts := make([][]byte, len(files))
	left := len(files)
	for t := tar.NewReader(io.LimitReader(z, maxPackage)); left > 0; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%d of %d files are missing", left, len(files))
		}
		if err != nil {
			return nil, err
		}
		for i, f := range files {
			if h.Name != f.Path || parts[i] != nil {
				continue
			}
			if parts[i], err = member(t, f); err != nil {
				return nil, fmt.Errorf("%s: %w", f.Path, err)
			}
			left--
		}
	}
	return parts, nil
}

func member(r io.Reader, f model.File) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, f.Size+1))
	if err != nil {
		return nil, err
	}
	return b, pinned(b, f)
}

// runNPM runs the npm client found on the path. It asks nothing.
func runNPM(ctx context.Context, dir string, args ...string) error {
	path, err := exec.LookPath("npm")
	if err != nil {
		return errors.New("the npm client is not installed")
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.WaitDelay = 5 * time.Second // npm may leave a child that holds its output
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, lastLine(out))
	}
	return nil
}

// lastLine returns the last line of what a command printed, bounded.
func lastLine(b []byte) string {
	b = bytes.TrimSpace(b)
	line := string(b[bytes.LastIndexByte(b, '\n')+1:])
	return strings.ToValidUTF8(line[:min(len(line), 200)], "")
}
