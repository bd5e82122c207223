package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/bungee-xr/bungee/hostfunc/nn/model"
)

const yoloFastestURL = "https://raw.githubusercontent.com/dog-qiuqiu/Yolo-Fastest/master/ModelZoo/yolo-fastest-1.1_coco/"

// fetchLimit bounds the time for one file: 4 MB at 150 kbit/s.
const fetchLimit = 4 * time.Minute

// defaultHTTP gives up early on a network that swallows packets.
var defaultHTTP = &http.Client{
	Timeout: fetchLimit,
	Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 20 * time.Second,
	},
}

// fetchHTTPS downloads the files that the cache does not have as pinned.
func fetchHTTPS(ctx context.Context, o Options, e Entry) error {
	for _, f := range e.Model.Files {
		if matches(filepath.Join(o.CacheDir, f.Path), f) {
			continue
		}
		if err := download(ctx, o, f); err != nil {
			return fmt.Errorf("fetch %s: %w", f.Path, err)
		}
	}
	return nil
}

// matches reports whether the file at path is as f pins it.
func matches(path string, f model.File) bool {
	m := model.Model{Name: f.Path, InputW: 1, InputH: 1, Files: []model.File{{Path: path, Size: f.Size, SHA256: f.SHA256}}}
	return m.Check() == nil
}

func download(ctx context.Context, o Options, f model.File) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.BaseURL+f.Path, nil)
	if err != nil {
		return err
	}
	res, err := o.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", req.URL, res.Status)
	}
	return store(o.CacheDir, f, &counted{r: res.Body, file: f.Path, total: f.Size, report: o.Progress})
}

// store writes what r gives to f.Path in dir if it is as f pins it. The file
// appears whole or not at all.
func store(dir string, f model.File, r io.Reader) (err error) {
	tmp, err := os.CreateTemp(dir, "."+f.Path+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
		}
	}()
	sum := sha256.New()
	// One byte more than there should be shows a file that is too long.
	n, err := io.Copy(io.MultiWriter(tmp, sum), io.LimitReader(r, f.Size+1))
	if err != nil {
		return fmt.Errorf("after %d of %d bytes: %w", n, f.Size, err)
	}
	if n != f.Size {
		return fmt.Errorf("it has %s bytes, not the %d pinned", amount(n, f.Size), f.Size)
	}
	if err := sameSum(sum.Sum(nil), f); err != nil {
		return err
	}
	if err := errors.Join(tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), filepath.Join(dir, f.Path))
}

// pinned returns an error unless b is as f pins it.
func pinned(b []byte, f model.File) error {
	if int64(len(b)) != f.Size {
		return fmt.Errorf("it has %s bytes, not the %d pinned", amount(int64(len(b)), f.Size), f.Size)
	}
	sum := sha256.Sum256(b)
	return sameSum(sum[:], f)
}

func sameSum(sum []byte, f model.File) error {
	if got := hex.EncodeToString(sum); got != f.SHA256 {
		return fmt.Errorf("it has sha256 %s, not %s", got, f.SHA256)
	}
	return nil
}

func amount(n, limit int64) string {
	if n > limit {
		return "more than " + fmt.Sprint(limit)
	}
	return fmt.Sprint(n)
}

// counted reports how much was read.
type counted struct {
	r           io.Reader
	file        string
	done, total int64
	report      func(file string, done, total int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done += int64(n)
	c.report(c.file, c.done, c.total)
	return n, err
}
