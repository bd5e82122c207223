package bench

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/bungee-xr/bungee/lab/internal/bench/marked"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// A Work is what the UEs of the admission experiment have computed.
type Work struct {
	// Module is the file of yolo-demo's module, compressed, as offloadgen writes it. Empty means that of package marked.
	Module string
	// Network is the name of the network that is to look at the frames, Head says how its outputs are read, and Classes how many labels it has.
	Network, Head string
	Classes       int
	// Frames is a folder of encoded frames, in the order of their names.
	Frames string
}

// A task is Work that is read.
type task struct {
	desc   *offload.Desc
	frames [][]byte
	call   func(ctx context.Context, i int) error // has frame i computed
}

// open reads what w names.
func (w Work) open() (*task, error) {
	t := &task{}
	names, err := filepath.Glob(filepath.Join(w.Frames, "*"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		t.frames = append(t.frames, b)
	}
	if len(t.frames) == 0 {
		return nil, fmt.Errorf("there are no frames in %q", w.Frames)
	}
	if w.Module == "" {
		t.desc = marked.ExchangeDesc
		t.call = func(ctx context.Context, i int) error {
			_, err := marked.Exchange(ctx, t.frames[i%len(t.frames)])
			return err
		}
		return t, nil
	}
	f, err := detection(w.Module)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", w.Module, err)
	}
	t.desc = &f.Desc
	t.call = func(ctx context.Context, i int) error {
		n := uint64(i)
		got, err := f.Call(ctx, videoFrame{n, t.frames[i%len(t.frames)], w})
		if err == nil && got != n {
			return fmt.Errorf("frame %d has the answer of frame %d", n, got)
		}
		return err
	}
	return t, nil
}

// A videoFrame is what detectObjects of yolo-demo takes.
type videoFrame struct {
	number uint64
	image  []byte
	work   Work
}

// errOnUE says that a frame was not computed on an edge host: these UEs compute nothing themselves.
var errOnUE = errors.New("the frame was left to the UE")

// detection returns yolo-demo's detectObjects, of the module in a file, whose result is the frame's number.
func detection(path string) (*codegen.Func[videoFrame, uint64], error) {
	packed, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	wasm, err := io.ReadAll(io.LimitReader(z, maxModule))
	if err != nil {
		return nil, err
	}
	return &codegen.Func[videoFrame, uint64]{
		Desc: offload.Desc{
			Name: "yolo-demo.detectObjects", Module: &offload.Module{Digest: sha256.Sum256(wasm), Gzip: string(packed)}, Deadline: admissionWithin, Idempotent: true,
		},
		Native:    func(context.Context, videoFrame) (uint64, error) { return 0, errOnUE },
		AppendIn:  appendVideoFrame,
		ReadIn:    func(r *pack.Reader) videoFrame { return videoFrame{} },
		AppendOut: func(b []byte, n uint64) []byte { return b },
		ReadOut:   readDetections,
	}, nil
}

// maxModule bounds a module that is read.
const maxModule = 64 << 20

// appendVideoFrame is the codec of yolo-demo's Frame.
func appendVideoFrame(b []byte, f videoFrame) []byte {
	b = pack.AppendArray(b, 5)
	b = pack.AppendUint(b, f.number)
	b = pack.AppendBytes(b, f.image)
	b = pack.AppendString(b, f.work.Network)
	b = pack.AppendString(b, f.work.Head)
	return pack.AppendInt(b, int64(f.work.Classes))
}

// readDetections reads yolo-demo's Detections, and returns the frame's number, which is their first field.
func readDetections(r *pack.Reader) (frame uint64) {
	n := r.Array()
	if n > 0 {
		frame = r.Uint()
	}
	r.Skip(n - 1)
	return frame
}
