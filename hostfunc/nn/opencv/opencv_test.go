//go:build cgo && opencv

package opencv

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/model"
)

// file returns a file under the folder that an environment variable names.
func file(tb testing.TB, env, name string) string {
	tb.Helper()
	dir := os.Getenv(env)
	if dir == "" {
		tb.Skipf("%s is not set; run %s=<folder with %s> go test -tags opencv ./hostfunc/nn/opencv", env, env, name)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(dir, name)
}

func read(tb testing.TB, path string) []byte {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func write(tb testing.TB, name string, b []byte) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func yoloFastest(tb testing.TB) Model {
	return Model{
		Name: "yolo-fastest-1.1-xl",
		Files: []model.File{
			{Path: file(tb, "BUNGEE_MODELS", "yolo-fastest-1.1-xl.weights"), Size: 3693964,
				SHA256: "fac5fb41786c1f38f04972a658443b189f48720d7d117f9a044100e98a35b0c5"},
			{Path: file(tb, "BUNGEE_MODELS", "yolo-fastest-1.1-xl.cfg"), Size: 9696,
				SHA256: "c458427acc4fbeabceff4528ef7b65b066c0308ce599460f8ba299eba63abad3"},
		},
		InputW: 320, InputH: 320, Scale: 1 / 255., SwapRB: true, Pad: 114,
	}
}

func yoloxNano(tb testing.TB) Model {
	return Model{
		Name: "yolox-nano",
		Files: []model.File{{Path: file(tb, "BUNGEE_MODELS", "yolox_nano.onnx"),
			SHA256: "e8af074932d4ed7e232278e3055cefcdea3edf178874a3694ae292649fb464dd"}},
		InputW: 416, InputH: 416, Pad: 114, Align: model.TopLeft,
	}
}

func open(tb testing.TB, nets int, models ...Model) *Backend {
	tb.Helper()
	b, err := New(Config{Threads: 1, Nets: nets, Models: models})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { b.Close() })
	return b
}

func session1(tb testing.TB, b *Backend, name string) nn.BackendSession {
	tb.Helper()
	g, err := b.Graph(name)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := g.NewSession()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

// infer returns the outputs for an image.
func infer(s nn.BackendSession, img []byte) ([]nn.Tensor, nn.Fit, error) {
	fit, err := s.SetImage(context.Background(), 0, img)
	if err != nil {
		return nil, fit, err
	}
	if err := s.Compute(context.Background()); err != nil {
		return nil, fit, err
	}
	out, err := s.Outputs()
	return out, fit, err
}

// best returns each class's best score in rows of (x, y, w, h, objectness,
// class scores...). Darknet's class scores contain the objectness, YOLOX's do not.
func best(out []nn.Tensor, times bool) map[int]float32 {
	scores := make(map[int]float32)
	for _, t := range out {
		row := t.Shape[len(t.Shape)-1]
		for r := range slices.Chunk(t.Data, row) {
			for c, p := range r[5:] {
				if times {
					p *= r[4]
				}
				scores[c] = max(scores[c], p)
			}
		}
	}
	return scores
}

func shapes(out []nn.Tensor) string {
	var s []string
	for _, t := range out {
		s = append(s, fmt.Sprint(t.Shape))
	}
	return strings.Join(s, " ")
}

func TestDetectors(t *testing.T) {
	const bicycle, car, truck, dog = 1, 2, 7, 16
	tests := []struct {
		m      Model
		shapes string
		fit    nn.Fit
		times  bool
	}{
		{yoloFastest(t), "[300 85] [1200 85]",
			nn.Fit{ImageW: 768, ImageH: 576, InputW: 320, InputH: 320, Scale: 320. / 768, PadY: 40}, false},
		{yoloxNano(t), "[1 3549 85]",
			nn.Fit{ImageW: 768, ImageH: 576, InputW: 416, InputH: 416, Scale: 416. / 768}, true},
	}
	img := read(t, file(t, "BUNGEE_MEDIA", "dog.jpg"))
	for _, tt := range tests {
		t.Run(tt.m.Name, func(t *testing.T) {
			b := open(t, 1, tt.m)
			s := session1(t, b, tt.m.Name)
			out, fit, err := infer(s, img)
			if err != nil {
				t.Fatal(err)
			}
			if got := shapes(out); got != tt.shapes {
				t.Errorf("outputs have shapes %s; want %s", got, tt.shapes)
			}
			if fit != tt.fit {
				t.Errorf("fit = %+v; want %+v", fit, tt.fit)
			}
			p := best(out, tt.times)
			if p[dog] < .5 || p[bicycle] < .4 || max(p[car], p[truck]) < .4 {
				t.Errorf("dog.jpg: dog %.2f, bicycle %.2f, car %.2f, truck %.2f; want a dog, a bicycle, a car or truck",
					p[dog], p[bicycle], p[car], p[truck])
			}
			tm := s.Timings()
			if tm.Decode <= 0 || tm.Letterbox <= 0 || tm.Compute <= 0 {
				t.Errorf("timings %+v; want each over 0", tm)
			}
		})
	}
}

func TestSetInputIsSetImage(t *testing.T) {
	m := yoloFastest(t)
	m.Scale = 1. / 256 // exact in both float32 and float64
	b := open(t, 1, m)
	s := session1(t, b, m.Name)
	grey := make([]float32, 3*320*320)
	for i := range grey {
		grey[i] = float32(float64(100) * m.Scale)
	}
	out, _, err := infer(s, solid(t, 320, 320, 100))
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(out[0].Data)
	if err := s.SetInput(0, nn.Tensor{Shape: []int{1, 3, 320, 320}, Data: grey}); err != nil {
		t.Fatal(err)
	}
	if err := s.Compute(context.Background()); err != nil {
		t.Fatal(err)
	}
	if out, _ = s.Outputs(); !slices.Equal(out[0].Data, want) {
		t.Error("a grey image and the same tensor give different outputs; want equal ones")
	}
}

// solid returns a grey PNG.
func solid(tb testing.TB, w, h int, level uint8) []byte {
	tb.Helper()
	m := image.NewGray(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = level
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestBadModels(t *testing.T) {
	yolo, yolox := yoloFastest(t), yoloxNano(t)
	weights, onnx := read(t, yolo.Files[0].Path), read(t, yolox.Files[0].Path)
	with := func(m Model, f model.File) Model {
		m.Files = append([]model.File{f}, m.Files[1:]...)
		return m
	}
	small := yolox
	small.InputW = 100
	tests := []struct {
		name, why string
		m         Model
	}{
		{"truncated, pinned", "a broken download",
			with(yolo, model.File{Path: write(t, "w", weights[:1<<20]), Size: yolo.Files[0].Size, SHA256: yolo.Files[0].SHA256})},
		{"wrong hash", "one bit differs",
			with(yolo, model.File{Path: write(t, "w", flip(weights)), Size: yolo.Files[0].Size, SHA256: yolo.Files[0].SHA256})},
		{"missing", "a wrong path", with(yolo, model.File{Path: "no-such-file"})},
		{"truncated weights, not pinned", "OpenCV reads past the end", with(yolo, model.File{Path: write(t, "w", weights[:1<<20])})},
		{"weights short of a number", "it would be garbage", with(yolo, model.File{Path: write(t, "w", weights[:len(weights)-4])})},
		{"weights of a few bytes", "not even the header", with(yolo, model.File{Path: write(t, "w", weights[:3])})},
		{"garbage ONNX", "the parser throws", with(yolox, model.File{Path: write(t, "x", bytes.Repeat([]byte("garbage"), 999))})},
		{"truncated ONNX", "the parser throws", with(yolox, model.File{Path: write(t, "x", onnx[:len(onnx)/2])})},
		{"weights as ONNX", "the files in the wrong place", with(yolox, yolo.Files[0])},
		{"wrong input size", "the forward throws", small},
		{"garbage cfg", "the parser throws", Model{Name: "m", InputW: 32, InputH: 32,
			Files: []model.File{yolo.Files[0], {Path: write(t, "cfg", []byte("[net]\nwidth=x\n[convolutional]\n"))}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := New(Config{Models: []Model{tt.m}})
			if err == nil {
				defer b.Close()
				err = b.Warm(context.Background(), tt.m.Name, 1)
			}
			if !errors.Is(err, model.ErrModel) || !strings.Contains(err.Error(), tt.m.Name) {
				t.Errorf("New and Warm gave %v; want ErrModel that names the model (%s)", err, tt.why)
			}
		})
	}
}

func flip(b []byte) []byte {
	b = slices.Clone(b)
	b[len(b)/2] ^= 1
	return b
}

func TestChangedFileIsRefused(t *testing.T) {
	m := yoloxNano(t)
	onnx := read(t, m.Files[0].Path)
	path := write(t, "own.onnx", onnx)
	m.Files = []model.File{{Path: path}}
	b := open(t, 2, m)
	if err := b.Warm(context.Background(), m.Name, 1); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, flip(onnx), 0o600); err != nil {
		t.Fatal(err)
	}
	err := b.Warm(context.Background(), m.Name, 2)
	if !errors.Is(err, model.ErrModel) || !strings.Contains(err.Error(), "sha256") {
		t.Errorf("a second network of a changed file gave %v; want ErrModel with sha256", err)
	}
}

func TestBadImages(t *testing.T) {
	m := yoloFastest(t)
	dog := read(t, file(t, "BUNGEE_MEDIA", "dog.jpg"))
	s := session1(t, open(t, 1, m), m.Name)
	header := slices.Clone(solid(t, 8, 8, 0))
	copy(header[16:], []byte{0, 1, 0, 0, 0, 1, 0, 0}) // 65536x65536
	var scans bytes.Buffer
	if err := jpeg.Encode(&scans, image.NewGray(image.Rect(0, 0, 4096, 4096)), nil); err != nil {
		t.Fatal(err)
	}
	scans.Write(bytes.Repeat([]byte{0xff, 0xda}, 99))
	tests := []struct {
		name, why string
		img       []byte
	}{
		{"empty", "no bytes", nil},
		{"text", "no image", []byte("hello")},
		{"gif", "a format that is not promised", []byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;")},
		{"header alone", "a frame cut off at once", dog[:200]},
		{"png header alone", "no pixels follow", solid(t, 8, 8, 0)[:33]},
		{"huge", "a bomb: its header is 33 bytes", header},
		{"many scans", "each passes over all pixels, for minutes", scans.Bytes()},
		{"too long", "over MaxImage", make([]byte, nn.MaxImage+1)},
	}
	for _, tt := range tests {
		if _, err := s.SetImage(t.Context(), 0, tt.img); !errors.Is(err, nn.ErrBadImage) {
			t.Errorf("%s (%d bytes): SetImage = %v; want ErrBadImage (%s)", tt.name, len(tt.img), err, tt.why)
		}
		if err := s.Compute(t.Context()); err == nil {
			t.Errorf("%s: Compute after a bad image gave no error", tt.name)
		}
	}
	if _, _, err := infer(s, dog); err != nil {
		t.Errorf("a good image after bad ones: %v", err)
	}
}

func TestOddImages(t *testing.T) {
	m := yoloFastest(t)
	s := session1(t, open(t, 1, m), m.Name)
	for _, size := range [][2]int{{1, 1}, {1, 5000}, {5000, 1}, {319, 321}, {1920, 1080}} {
		fit, err := s.SetImage(t.Context(), 0, solid(t, size[0], size[1], 9))
		if err != nil || fit.ImageW != size[0] || fit.ImageH != size[1] {
			t.Errorf("%dx%d: fit %+v, %v; want that size and no error", size[0], size[1], fit, err)
		}
		if err := s.Compute(t.Context()); err != nil {
			t.Errorf("%dx%d: %v", size[0], size[1], err)
		}
	}
}

func TestMisuse(t *testing.T) {
	m := yoloFastest(t)
	b := open(t, 1, m)
	if _, err := b.Graph("nope"); !errors.Is(err, nn.ErrNoGraph) {
		t.Errorf("Graph(nope) = %v; want ErrNoGraph", err)
	}
	s := session1(t, b, m.Name)
	if _, err := s.Outputs(); err == nil {
		t.Error("Outputs before Compute gave no error")
	}
	if err := s.SetInput(1, nn.Tensor{}); err == nil {
		t.Error("SetInput(1) gave no error")
	}
	if err := s.SetInput(0, nn.Tensor{Shape: []int{1, 3, 320, 320}, Data: make([]float32, 3)}); err == nil {
		t.Error("SetInput with 3 numbers gave no error")
	}
	s.Close()
	s.Close()
	if err := s.Compute(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Compute after Close = %v; want ErrClosed", err)
	}
	g, _ := b.Graph(m.Name)
	live, err := g.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	if _, _, err := infer(live, solid(t, 4, 4, 0)); !errors.Is(err, ErrClosed) {
		t.Errorf("infer after the backend's Close = %v; want ErrClosed", err)
	}
	live.Close()
	if _, err := g.NewSession(); !errors.Is(err, ErrClosed) {
		t.Errorf("NewSession after the backend's Close = %v; want ErrClosed", err)
	}
	if _, err := New(Config{Models: []Model{m, m}}); !errors.Is(err, model.ErrModel) {
		t.Errorf("New with a model twice = %v; want ErrModel", err)
	}
}

func TestQueueEndsWithContext(t *testing.T) {
	m := yoloFastest(t)
	b := open(t, 1, m)
	s := session1(t, b, m.Name)
	if _, _, err := infer(s, solid(t, 4, 4, 0)); err != nil {
		t.Fatal(err)
	}
	p := b.graphs[m.Name].nets
	n, err := p.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("the frame is late")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error)
	go func() { done <- s.Compute(ctx) }()
	cancel(why)
	if err := <-done; !errors.Is(err, why) {
		t.Errorf("Compute in the queue = %v; want %v", err, why)
	}
	p.put(n)
	if err := s.Compute(t.Context()); err != nil {
		t.Errorf("Compute once the network is free: %v", err)
	}
}

// TestHammer runs more sessions than networks, with images of their own, and
// looks for outputs that are another's.
func TestHammer(t *testing.T) {
	m := yoloFastest(t)
	b := open(t, 2, m)
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	images := [][]byte{solid(t, 64, 48, 0), solid(t, 48, 64, 120), read(t, file(t, "BUNGEE_MEDIA", "dog.jpg")), solid(t, 9, 9, 255)}
	want := make([][]float32, len(images))
	for i, img := range images {
		out, _, err := infer(session1(t, b, m.Name), img)
		if err != nil {
			t.Fatal(err)
		}
		want[i] = slices.Clone(out[0].Data)
	}
	var wg sync.WaitGroup
	for i, img := range images {
		wg.Go(func() {
			g, _ := b.Graph(m.Name)
			for r := range rounds {
				s, err := g.NewSession()
				if err != nil {
					t.Error(err)
					return
				}
				out, _, err := infer(s, img)
				if err != nil || !slices.Equal(out[0].Data, want[i]) {
					t.Errorf("image %d round %d: %v, or outputs that differ from the first time", i, r, err)
				}
				s.Close()
			}
		})
	}
	wg.Wait()
}

// TestCloseDuringCompute closes the backend while sessions run.
func TestCloseDuringCompute(t *testing.T) {
	m := yoloFastest(t)
	b := open(t, 2, m)
	img := solid(t, 64, 48, 0)
	var wg sync.WaitGroup
	started := make(chan struct{}, 4)
	for range 4 {
		s := session1(t, b, m.Name)
		wg.Go(func() {
			defer s.Close()
			for {
				_, _, err := infer(s, img)
				select {
				case started <- struct{}{}:
				default:
				}
				if err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Errorf("infer = %v; want ErrClosed", err)
					}
					return
				}
			}
		})
	}
	<-started
	b.Close()
	wg.Wait()
}

// FuzzSetImage looks for bytes that end the process, or decode to other sizes
// than the header bound.
func FuzzSetImage(f *testing.F) {
	var jpg bytes.Buffer
	if err := jpeg.Encode(&jpg, image.NewGray(image.Rect(0, 0, 9, 5)), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(jpg.Bytes())
	f.Add(jpg.Bytes()[:jpg.Len()/2])
	f.Add(solid(f, 7, 3, 80))
	f.Add([]byte("\x89PNG\r\n\x1a\n"))
	m := Model{InputW: 32, InputH: 32, Pad: 114}
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, _, err := image.DecodeConfig(bytes.NewReader(b)); err == nil && c.Width*c.Height > 1<<20 {
			return // right, but slow
		}
		img, err := decode(b)
		if err != nil {
			if !errors.Is(err, nn.ErrBadImage) {
				t.Errorf("decode(%x) = %v; want ErrBadImage", b, err)
			}
			return
		}
		defer img.Close()
		buf := newBuffers()
		defer buf.close()
		fit := buf.letterbox(img, &m)
		if in, err := buf.input.DataPtrFloat32(); err != nil || len(in) != 3*32*32 || fit.ImageW*fit.ImageH > model.MaxPixels {
			t.Errorf("letterbox of %x: fit %+v, %d numbers, %v; want 3072 numbers", b, fit, len(in), err)
		}
	})
}

// TestFind finds ONNX files by their digest, and no half of a Darknet network.
func TestFind(t *testing.T) {
	onnx, darknet := yoloxNano(t), yoloFastest(t)
	b := open(t, 1, onnx, darknet)
	for _, m := range []Model{onnx, darknet} {
		digest := sha256.Sum256(read(t, m.Files[0].Path))
		name, ok := b.Find(digest)
		if want := len(m.Files) == 1; ok != want || ok && name != m.Name {
			t.Errorf("Find of %s = %q, %t; want ok %t", m.Name, name, ok, want)
		}
	}
}
