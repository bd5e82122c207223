//go:build cgo

package onnx

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/model"
	"github.com/bungee-xr/bungee/hostfunc/nn/share"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a backend, and skips the test where there is no library.
func open(tb testing.TB, cfg Config) *Backend {
	tb.Helper()
	b, err := New(cfg)
	if errors.Is(err, ErrNoLibrary) {
		tb.Skipf("%v; then go test ./hostfunc/nn/onnx", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
	})
	return b
}

func graphOf(tb testing.TB, b *Backend, name string) nn.BatchGraph {
	tb.Helper()
	g, err := b.Graph(name)
	if err != nil {
		tb.Fatal(err)
	}
	return g.(nn.BatchGraph)
}

func newSession(tb testing.TB, g nn.BackendGraph) nn.BackendSession {
	tb.Helper()
	s, err := g.NewSession()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

// row is an input of the classifier.
func row(v ...float32) nn.Tensor { return nn.Tensor{Shape: []int{1, len(v)}, Data: v} }

// softmax is what the classifier gives, by the book.
func softmax(x []float32) []float32 {
	y := []float64{float64(x[0] + x[3]/2), float64(x[1] + x[3]/4), float64(x[2])}
	sum := 0.
	for _, v := range y {
		sum += math.Exp(v)
	}
	var out []float32
	for _, v := range y {
		out = append(out, float32(math.Exp(v)/sum))
	}
	return out
}

func near(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Abs(float64(x-y)) < 1e-6 })
}

// numbers returns the data of output i.
func numbers(tb testing.TB, s nn.BackendSession, i int) nn.Tensor {
	tb.Helper()
	out, err := s.Outputs()
	if err != nil {
		tb.Fatal(err)
	}
	return out[i]
}

func TestTensors(t *testing.T) {
	for _, rows := range []int{0, 1} { // free, and fixed
		b := open(t, Config{Models: []model.Model{save(t, "m", classifier(rows), 0)}})
		g := graphOf(t, b, "m")
		if got, want := g.MaxBatch(), []int{8, 1}[rows]; got != want {
			t.Errorf("MaxBatch with first dimension %d = %d; want %d", rows, got, want)
		}
		if got := g.Inputs(); len(got) != 1 || !slices.Equal(got[0], []int{1, 4}) {
			t.Errorf("Inputs = %v; want [[1 4]]", got)
		}
		s := newSession(t, g)
		for _, x := range [][]float32{{1, 2, 3, 4}, {0, 0, 0, 0}, {-1, 5, 2, 2}} {
			if err := s.SetInput(0, row(x...)); err != nil {
				t.Fatal(err)
			}
			if err := s.Compute(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := numbers(t, s, 0)
			if !slices.Equal(got.Shape, []int{1, 3}) || !near(got.Data, softmax(x)) {
				t.Errorf("of %v the network gave %v; want [1 3] %v", x, got, softmax(x))
			}
		}
		if s.Timings().Compute <= 0 {
			t.Errorf("timings %+v; want a time of compute", s.Timings())
		}
	}
}

// TestImage sees what a network is given of an image.
func TestImage(t *testing.T) {
	m := save(t, "m", means(), 8)
	m.SwapRB, m.Scale, m.Pad = true, 0.5, 114
	s := newSession(t, graphOf(t, open(t, Config{Models: []model.Model{m}}), "m"))
	fit, err := s.SetImage(t.Context(), 0, picture(t, 16, 8, color.RGBA{200, 100, 50, 255}))
	if err != nil {
		t.Fatal(err)
	}
	if want := (nn.Fit{ImageW: 16, ImageH: 8, InputW: 8, InputH: 8, Scale: .5, PadY: 2}); fit != want {
		t.Errorf("fit = %+v; want %+v", fit, want)
	}
	if err := s.Compute(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []float32{(200 + 114) / 4., (100 + 114) / 4., (50 + 114) / 4.} // half of it is padding
	if got := numbers(t, s, 0); !near(got.Data, want) || !slices.Equal(got.Shape, []int{1, 3, 1, 1}) {
		t.Errorf("means of the image: %v; want %v", got, want)
	}
	_, err = s.SetImage(t.Context(), 0, []byte("no image"))
	if !errors.Is(err, nn.ErrBadImage) {
		t.Errorf("SetImage of text = %v; want ErrBadImage", err)
	}
	if err := s.Compute(t.Context()); err == nil {
		t.Error("Compute after a bad image gave no error")
	}
}

func picture(tb testing.TB, w, h int, c color.RGBA) []byte {
	tb.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		img.SetRGBA(i%w, i/w, c)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// TestBatch compares batches of all sizes with single runs.
func TestBatch(t *testing.T) {
	m := save(t, "m", means(), 8)
	g := graphOf(t, open(t, Config{Batch: 5, Models: []model.Model{m}}), "m")
	if g.MaxBatch() != 5 {
		t.Fatalf("MaxBatch = %d; want 5", g.MaxBatch())
	}
	for n := 1; n <= 5; n++ {
		var all []nn.BackendSession
		var want [][]float32
		for i := range n {
			s := newSession(t, g)
			if _, err := s.SetImage(t.Context(), 0, picture(t, 9, 9, color.RGBA{uint8(20 * i), 70, uint8(5 * n), 255})); err != nil {
				t.Fatal(err)
			}
			if err := s.Compute(t.Context()); err != nil {
				t.Fatal(err)
			}
			want = append(want, slices.Concat(numbers(t, s, 0).Data, numbers(t, s, 1).Data))
			all = append(all, s)
		}
		if err := g.ComputeBatch(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		for i, s := range all {
			a, b := numbers(t, s, 0), numbers(t, s, 1)
			if !slices.Equal(slices.Concat(a.Data, b.Data), want[i]) || !slices.Equal(a.Shape, []int{1, 3, 1, 1}) || !slices.Equal(b.Shape, []int{1, 3, 8, 8}) {
				t.Errorf("session %d of a batch of %d differs from its single run", i, n)
			}
		}
	}
}

func TestBadBatches(t *testing.T) {
	b := open(t, Config{Batch: 2, Models: []model.Model{save(t, "m", means(), 8), save(t, "other", classifier(0), 0)}})
	g, other := graphOf(t, b, "m"), graphOf(t, b, "other")
	ready := func(g nn.BackendGraph) nn.BackendSession {
		s := newSession(t, g)
		shape := g.Inputs()[0]
		if err := s.SetInput(0, nn.Tensor{Shape: shape, Data: make([]float32, volume(shape))}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	closed := ready(g)
	closed.Close()
	tests := []struct {
		name, why string
		sessions  []nn.BackendSession
	}{
		{"none", "nothing to run", nil},
		{"too many", "the memory is for two", []nn.BackendSession{ready(g), ready(g), ready(g)}},
		{"another's", "the inputs would not fit", []nn.BackendSession{ready(g), ready(other)}},
		{"no input", "its memory may hold an earlier session's", []nn.BackendSession{ready(g), newSession(t, g)}},
		{"closed", "it has no memory", []nn.BackendSession{ready(g), closed}},
	}
	for _, tt := range tests {
		if err := g.ComputeBatch(t.Context(), tt.sessions); err == nil {
			t.Errorf("%s: no error (%s)", tt.name, tt.why)
		}
	}
}

func TestBadModels(t *testing.T) {
	open(t, Config{}) // skips where there is no library
	good := classifier(0)
	twoFiles := save(t, "m", good, 0)
	twoFiles.Files = append(twoFiles.Files, twoFiles.Files[0])
	pinned := save(t, "m", good, 0)
	pinned.Files[0].SHA256 = strings.Repeat("0", 64)
	tests := []struct {
		name, why string
		m         model.Model
	}{
		{"garbage", "no protobuf", save(t, "m", bytes.Repeat([]byte("garbage"), 99), 0)},
		{"truncated", "half a download", save(t, "m", good[:len(good)/2], 0)},
		{"unknown operation", "ONNX Runtime has no such", save(t, "m", netFile{
			nodes: []proto{node("Levitate", "y", "x")}, in: []proto{value("x", floats, 1)}, out: []proto{value("y", floats, 1)}}.encode(), 0)},
		{"text", "no number is text", save(t, "m", netFile{
			nodes: []proto{node("Identity", "y", "x")}, in: []proto{value("x", 8, 1)}, out: []proto{value("y", 8, 1)}}.encode(), 0)},
		{"huge size", "over what a tensor may have", save(t, "m", netFile{
			nodes: []proto{node("Identity", "y", "x")}, in: []proto{value("x", floats, 1<<31, 1<<31)}, out: []proto{value("y", floats, 1<<31, 1<<31)}}.encode(), 0)},
		{"another image size", "the input is 8x8", save(t, "m", means(), 9)},
		{"image for a row", "the input is no image", save(t, "m", good, 8)},
		{"two files", "that is Darknet", twoFiles},
		{"another digest", "not the file that was meant", pinned},
		{"missing", "a wrong path", model.Model{Name: "m", Files: []model.File{{Path: "no-such-file"}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := New(Config{Models: []model.Model{tt.m}})
			if err == nil {
				defer b.Close()
				_, err = b.Graph("m")
			}
			if !errors.Is(err, model.ErrModel) || !strings.Contains(err.Error(), `"m"`) {
				t.Errorf("New and Graph gave %v; want ErrModel that names the model (%s)", err, tt.why)
			}
		})
	}
}

func TestBadConfig(t *testing.T) {
	open(t, Config{})
	tests := []struct {
		cfg Config
		why string
	}{
		{Config{Threads: -1}, "less than none"},
		{Config{Provider: "abacus"}, "unknown"},
		{Config{Options: map[string]string{"device_id": "0"}}, "the CPU has no devices"},
		{Config{Provider: CUDA, Options: map[string]string{"no_such_option": "1"}}, "CUDA has no such option, or the library has no CUDA"},
	}
	for _, tt := range tests {
		if b, err := New(tt.cfg); err == nil {
			b.Close()
			t.Errorf("New(%+v) gave no error (%s)", tt.cfg, tt.why)
		}
	}
}

func TestMisuse(t *testing.T) {
	b := open(t, Config{Models: []model.Model{save(t, "m", classifier(0), 0)}})
	if _, err := b.Graph("x"); !errors.Is(err, nn.ErrNoGraph) {
		t.Errorf("Graph of an unknown name = %v; want ErrNoGraph", err)
	}
	s := newSession(t, graphOf(t, b, "m"))
	if err := s.Compute(t.Context()); err == nil {
		t.Error("Compute without input gave no error")
	}
	for _, tt := range []struct {
		index int
		t     nn.Tensor
	}{{1, row(1, 2, 3, 4)}, {-1, row(1, 2, 3, 4)}, {0, row(1, 2, 3)}, {0, nn.Tensor{Shape: []int{1, 4}, Data: make([]float32, 3)}}} {
		if err := s.SetInput(tt.index, tt.t); err == nil {
			t.Errorf("SetInput(%d, %v) gave no error", tt.index, tt.t)
		}
	}
	if _, err := s.SetImage(t.Context(), 0, picture(t, 4, 4, color.RGBA{})); err == nil {
		t.Error("SetImage of a network without image gave no error")
	}
	if _, err := s.Outputs(); err == nil {
		t.Error("Outputs before Compute gave no error")
	}
	s.Close()
	if err := s.Close(); err != nil {
		t.Errorf("second Close = %v; want nil", err)
	}
	if err := s.SetInput(0, row(1, 2, 3, 4)); !errors.Is(err, ErrClosed) {
		t.Errorf("SetInput after Close = %v; want ErrClosed", err)
	}
}

// TestFind finds a network by the digest of its file, once it was loaded.
func TestFind(t *testing.T) {
	file := classifier(0)
	b := open(t, Config{Models: []model.Model{save(t, "m", file, 0)}})
	digest := sha256.Sum256(file)
	if name, ok := b.Find(digest); ok {
		t.Errorf("Find before the file was read = %q; want nothing", name)
	}
	graphOf(t, b, "m")
	if name, ok := b.Find(digest); !ok || name != "m" {
		t.Errorf("Find = %q, %t; want m", name, ok)
	}
	if name, ok := b.Find(sha256.Sum256(nil)); ok {
		t.Errorf("Find of another digest = %q; want nothing", name)
	}
}

// slow is a network that takes long: many multiplications of large matrices.
func slow() []byte {
	const side, steps = 512, 400
	f := netFile{
		consts: []proto{constant("w", []int{side, side}, make([]float32, side*side)...)},
		in:     []proto{value("x", floats, 1, side, side)}, out: []proto{value("y", floats, 1, side, side)},
	}
	last := "x"
	for i := range steps {
		next := "m" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		f.nodes = append(f.nodes, node("MatMul", next, last, "w"))
		last = next
	}
	f.nodes = append(f.nodes, node("Identity", "y", last))
	return f.encode()
}

// TestCancelStopsARun cancels a run on the way: it ends with the context's cause.
func TestCancelStopsARun(t *testing.T) {
	b := open(t, Config{Threads: 1, Models: []model.Model{save(t, "slow", slow(), 0)}})
	s := newSession(t, graphOf(t, b, "slow"))
	if err := s.SetInput(0, nn.Tensor{Shape: []int{1, 512, 512}, Data: make([]float32, 512*512)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Compute(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole := s.Timings().Compute
	why := errors.New("no longer wanted")
	ctx, cancel := context.WithTimeoutCause(t.Context(), whole/20, why)
	defer cancel()
	if err := s.Compute(ctx); !errors.Is(err, why) {
		t.Errorf("Compute that was cancelled = %v; want its cause (a run takes %v)", err, whole)
	}
	if _, err := s.Outputs(); err == nil {
		t.Error("Outputs of a run that was stopped gave no error")
	}
}

// TestHammer runs more sessions than may run at once, and looks for another's
// outputs. It closes the backend at the end, while they run.
func TestHammer(t *testing.T) {
	b := open(t, Config{Threads: 1, Nets: 2, Models: []model.Model{save(t, "m", classifier(0), 0)}})
	g := graphOf(t, b, "m")
	const goroutines, rounds = 8, 300
	var wg sync.WaitGroup
	half := make(chan struct{}, goroutines)
	for i := range goroutines {
		wg.Go(func() {
			for r := range rounds {
				if r == rounds/2 {
					half <- struct{}{}
				}
				if err := classify(g, float32(i), float32(r)); err != nil && !errors.Is(err, ErrClosed) {
					t.Errorf("goroutine %d round %d: %v", i, r, err)
					return
				}
			}
		})
	}
	for range goroutines {
		<-half
	}
	b.Close()
	wg.Wait()
	if err := classify(g, 1, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("a session after Close gave %v; want ErrClosed", err)
	}
}

// classify computes in a session of its own.
func classify(g nn.BackendGraph, a, b float32) error {
	s, err := g.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	x := []float32{a, b / 100, 1, 2}
	if err := s.SetInput(0, row(x...)); err != nil {
		return err
	}
	if err := s.Compute(context.Background()); err != nil {
		return err
	}
	out, err := s.Outputs()
	if err == nil && !near(out[0].Data, softmax(x)) {
		err = errors.New("the outputs are another's")
	}
	return err
}

// TestLibrary says in which order files are looked at.
func TestLibrary(t *testing.T) {
	t.Setenv(Env, "")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if got := Library("/a/lib.so"); !slices.Equal(got, []string{"/a/lib.so"}) {
		t.Errorf("Library with a path = %q; want that alone", got)
	}
	if got := Library(""); !slices.Equal(got, usualNames()) {
		t.Errorf("Library with nothing set = %q; want the usual names", got)
	}
	if runtime.GOOS == "linux" {
		path := filepath.Join(os.Getenv("XDG_CACHE_HOME"), "bungee", "onnxruntime", "libonnxruntime.so.1")
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		if got := Library(""); got[0] != path {
			t.Errorf("Library = %q; want the cache's file first", got)
		}
	}
	t.Setenv(Env, "/b/lib.so")
	if got := Library(""); !slices.Equal(got, []string{"/b/lib.so"}) {
		t.Errorf("Library with %s = %q; want that alone", Env, got)
	}
}

// TestSharedBatch has four sessions that come at once run as one batch, through
// package share, with the results of single runs.
func TestSharedBatch(t *testing.T) {
	b := open(t, Config{Batch: 4, Models: []model.Model{save(t, "m", classifier(0), 0)}})
	graphOf(t, b, "m")
	shared := share.New(b, share.Config{Window: time.Hour}) // a full batch goes at once
	g, err := shared.Graph("m")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			if err := classify(g, float32(i), float32(-i)); err != nil {
				t.Errorf("session %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if s := shared.Stats(); s.Computed != 4 || s.Runs != 1 {
		t.Errorf("stats %+v; want four computed in one run", s)
	}
}

// FuzzModel looks for files that end the process.
func FuzzModel(f *testing.F) {
	open(f, Config{})
	f.Add(classifier(0))
	f.Add(means())
	f.Add(means()[:40])
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, onnx []byte) {
		path := filepath.Join(dir, "m.onnx")
		if err := os.WriteFile(path, onnx, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := New(Config{Threads: 1, Models: []model.Model{{Name: "m", Files: []model.File{{Path: path}}}}})
		if err != nil {
			return // empty
		}
		defer b.Close()
		if _, err := b.Graph("m"); err != nil && !errors.Is(err, model.ErrModel) {
			t.Errorf("Graph of %x = %v; want ErrModel", onnx, err)
		}
	})
}
