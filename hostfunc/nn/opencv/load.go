//go:build cgo && opencv

package opencv

import (
	"fmt"
	"sync"

	"github.com/bungee-xr/bungee/hostfunc/nn/model"
)

// A loader makes networks of one model.
type loader struct {
	// mu makes loading one at a time: it holds the files' bytes besides the
	// network, and two at once would add to the peak memory for nothing.
	mu sync.Mutex
	m  Model
}

// load reads the files, checks what it read, makes a network of these very
// bytes and runs it once. A file without a digest gets that of what was read,
// so that all networks of a model are the same one.
func (l *loader) load() (network, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	files, err := l.m.Read()
	if err != nil {
		return network{}, err
	}
	files = append(files, nil) // an ONNX file has no cfg beside it
	n, err := readNetwork(files[0], files[1])
	if err == nil && files[1] == nil {
		if err = fits(&l.m, files[0]); err != nil {
			n.close()
		}
	}
	if err == nil {
		if err = try(&l.m, n); err == nil {
			return n, nil
		}
		n.close()
	}
	return network{}, fmt.Errorf("%w: %q: %s: %w", model.ErrModel, l.m.Name, l.m.Files[0].Path, err)
}

// fits looks whether an ONNX file takes an image of the model's size: OpenCV runs most networks at any
// size, and what they give at another than their own is wrong.
func fits(m *Model, onnx []byte) error {
	o, err := model.ParseONNX(onnx)
	if err != nil {
		return err
	}
	return o.CheckImage(m)
}

// try runs n on zeros: it warms it up, and shows that the input's size is right.
func try(m *Model, n network) error {
	_, err := n.forward(nil, make([]float32, 3*m.InputW*m.InputH), m.InputH, m.InputW)
	if err != nil {
		return fmt.Errorf("run on an empty %dx%d image: %w", m.InputW, m.InputH, err)
	}
	return nil
}

// digest returns the digest of the first file, "" where it is not known yet.
func (l *loader) digest() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.m.Files[0].SHA256
}
