package host

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path"
	"slices"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// loadByName is load_by_name(name, len, graph *u32). A name has one handle.
func (s *state) loadByName(a args) error {
	if a.u32(1) > nn.MaxName {
		return fmt.Errorf("%w: a name of %d bytes; want at most %d", errTooLarge, a.u32(1), nn.MaxName)
	}
	b, err := a.bytes(a.u32(0), a.u32(1))
	if err != nil {
		return err
	}
	if _, err := a.words(2, 1); err != nil {
		return err
	}
	name := string(b)
	if !s.granted(name) {
		return notGranted(fmt.Sprintf("%q", name))
	}
	i, err := s.graphOf(name)
	if err != nil {
		return err
	}
	return a.put(2, uint32(i+1))
}

// Values of wasi-nn's graph_encoding which load takes.
const (
	encodingONNX = 1
	encodingAuto = 6
)

// load is load(builders *[n]{ptr, len}, n, encoding, target, graph *u32). It finds the
// network of the host that has the one builder's bytes. The target is the host's to
// choose.
func (s *state) load(a args) error {
	finder, ok := s.backend.(nn.Finder)
	switch {
	case !ok:
		return fmt.Errorf("%w: this host finds no networks by their bytes; use load_by_name", errUnsupported)
	case a.u32(2) != encodingONNX && a.u32(2) != encodingAuto:
		return fmt.Errorf("%w: %d; want %d, ONNX, or %d, autodetect", errEncoding, a.u32(2), encodingONNX, encodingAuto)
	case a.u32(1) != 1:
		return fmt.Errorf("%w: a network of %d parts; want one", errArgument, a.u32(1))
	}
	file, err := a.builder(a.u32(0))
	if err != nil {
		return err
	}
	if _, err := a.words(4, 1); err != nil {
		return err
	}
	digest, err := digestOf(a.ctx, file)
	if err != nil {
		return err
	}
	name, ok := finder.Find(digest)
	if !ok || !s.granted(name) {
		return notGranted(fmt.Sprintf("with sha256 %x", digest))
	}
	i, err := s.graphOf(name)
	if err != nil {
		return err
	}
	return a.put(4, uint32(i+1))
}

// digestOf returns the SHA-256 of a network, unless ctx ends before.
func digestOf(ctx context.Context, file []byte) (sum [sha256.Size]byte, err error) {
	const step = 1 << 20 // bytes, of which a millisecond hashes as many
	h := sha256.New()
	for part := range slices.Chunk(file, step) {
		if err := context.Cause(ctx); err != nil {
			return sum, err
		}
		h.Write(part)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// builder returns the bytes that the record {ptr, len} at ptr points at.
func (a args) builder(ptr uint32) ([]byte, error) {
	r, err := a.bytes(ptr, 8)
	if err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(r[4:])
	if n > maxNetwork {
		return nil, fmt.Errorf("%w: a network of %d bytes; want at most %d", errTooLarge, n, maxNetwork)
	}
	return a.bytes(binary.LittleEndian.Uint32(r), n)
}

// granted says whether the guest may use the network of that name. A pattern that is
// none grants nothing.
func (s *state) granted(name string) bool {
	for _, pattern := range s.models {
		if ok, err := path.Match(pattern, name); pattern == "*" || pattern == name || ok && err == nil {
			return true
		}
	}
	return false
}

// notGranted is the error of a network that the guest may not use, also when the
// host has it.
func notGranted(what string) error {
	return fmt.Errorf("%w: none %s is granted; name it under models in the module's manifest and in the tenant's policy",
		nn.ErrNoGraph, what)
}

// graphOf returns where the graph of that name is in s.graphs.
func (s *state) graphOf(name string) (int, error) {
	free := -1
	for i, g := range s.graphs {
		switch {
		case g != nil && g.name == name:
			return i, nil
		case g == nil && free < 0:
			free = i
		}
	}
	if free < 0 {
		return 0, fmt.Errorf("%w: %d graphs are loaded; drop one", errTooLarge, MaxGraphs)
	}
	g, err := s.backend.Graph(name)
	if err != nil {
		return 0, err
	}
	s.graphs[free] = &graph{name: name, g: g, inputs: g.Inputs()}
	return free, nil
}
