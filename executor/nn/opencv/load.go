//go:build cgo && opencv

package opencv

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"sync"
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
	n, err := l.loadLocked()
	if err != nil {
		return network{}, fmt.Errorf("%w: %q: %w", ErrModel, l.m.Name, err)
	}
	return n, nil
}

func (l *loader) loadLocked() (network, error) {
	bytes := make([][]byte, 2)
	sums := make([]string, 2)
	for i, f := range l.m.Files {
		var err error
		if bytes[i], sums[i], err = f.read(); err != nil {
			return network{}, err
		}
	}
	n, err := readNetwork(bytes[0], bytes[1])
	if err != nil {
		return network{}, fmt.Errorf("read %s: %w", l.m.Files[0].Path, err)
	}
	if err := l.m.try(n); err != nil {
		n.close()
		return network{}, fmt.Errorf("run %s on an empty %dx%d image: %w",
			l.m.Files[0].Path, l.m.InputW, l.m.InputH, err)
	}
	for i := range l.m.Files {
		l.m.Files[i].SHA256 = sums[i]
	}
	return n, nil
}

// try runs n on zeros: it warms it up, and shows that the input's size is right.
func (m *Model) try(n network) error {
	_, err := n.forward(nil, make([]float32, 3*m.InputW*m.InputH), m.InputH, m.InputW)
	return err
}

// read returns a file's bytes and their digest once they are as pinned.
func (f File) read() (b []byte, sum string, err error) {
	if err := f.checkSize(); err != nil {
		return nil, "", err
	}
	if b, err = os.ReadFile(f.Path); err != nil {
		return nil, "", err
	}
	if len(b) == 0 {
		return nil, "", fmt.Errorf("%s is empty", f.Path)
	}
	d := sha256.Sum256(b)
	sum = hex.EncodeToString(d[:])
	if f.SHA256 != "" && !strings.EqualFold(sum, f.SHA256) {
		return nil, "", f.wrongDigest(sum)
	}
	return b, sum, nil
}
