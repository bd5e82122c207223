//go:build cgo

package wasmtime

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/bungee-xr/bungee/capability"
)

// A file of the cache is compiled code, which wasmtime maps from the file's start,
// and behind it what only this package reads:
//
//	code | probes | manifest, as JSON | length of the probes, u32 | length of the manifest, u32 | magic | checksum, u32
//
// The probes are what [capability.OnlyProbes] returns: none of most modules.
// Numbers are little-endian. The checksum is the CRC-32C of the file's key and all
// before it: a file under another's name does not match.
const (
	magic   = "bungee/2"
	endSize = 4 + 4 + len(magic) + 4
	// maxManifest bounds the manifest. One in a module is shorter.
	maxManifest = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errChecksum = errors.New("the file does not match its checksum")
	errEnd      = errors.New("the file does not end as it must")
)

// seal returns what follows code in the file of k.
func seal(k key, code []byte, manifest capability.Manifest, probes []byte) ([]byte, error) {
	text, err := json.Marshal(manifest)
	switch {
	case err != nil:
		return nil, fmt.Errorf("encode the manifest: %w", err)
	case len(text) > maxManifest:
		return nil, fmt.Errorf("the manifest has %d bytes; at most %d are kept", len(text), maxManifest)
	case len(probes) > capability.MaxOnlyProbes:
		return nil, fmt.Errorf("what it is to be probed with has %d bytes; at most %d are kept", len(probes), capability.MaxOnlyProbes)
	}
	end := append(bytes.Clone(probes), text...)
	end = binary.LittleEndian.AppendUint32(end, uint32(len(probes)))
	end = binary.LittleEndian.AppendUint32(end, uint32(len(text)))
	end = append(end, magic...)
	sum := crc32.Update(crc32.Checksum(k[:], castagnoli), castagnoli, code)
	return binary.LittleEndian.AppendUint32(end, crc32.Update(sum, castagnoli, end)), nil
}

// A layout says where the parts of a file are that follow its code.
type layout struct {
	probes, manifest span
	sum              uint32
}

// A span is a part of a file.
type span struct{ at, size int64 }

func (s span) in(f io.ReaderAt) *io.SectionReader { return io.NewSectionReader(f, s.at, s.size) }

// layoutOf reads the end of a file of size bytes. It does not look at the checksum.
func layoutOf(f io.ReaderAt, size int64) (l layout, err error) {
	var end [endSize]byte
	at := size - int64(endSize)
	if at < 0 {
		return l, errEnd
	}
	if _, err := f.ReadAt(end[:], at); err != nil {
		return l, err
	}
	p, m := int64(binary.LittleEndian.Uint32(end[:])), int64(binary.LittleEndian.Uint32(end[4:]))
	if string(end[8:8+len(magic)]) != magic || p > capability.MaxOnlyProbes || m > maxManifest || p+m > at {
		return l, errEnd
	}
	return layout{span{at - m - p, p}, span{at - m, m}, binary.LittleEndian.Uint32(end[endSize-4:])}, nil
}

// unseal compares the checksum of a file of size bytes and returns its manifest. It
// reads 6 MB, a Go guest, in a millisecond.
func unseal(k key, f io.ReaderAt, size int64) (m capability.Manifest, err error) {
	l, err := layoutOf(f, size)
	if err != nil {
		return m, err
	}
	sum, err := checksum(k, io.NewSectionReader(f, 0, size-4))
	if err != nil {
		return m, err
	}
	if sum != l.sum {
		return m, errChecksum
	}
	return m, json.NewDecoder(l.manifest.in(f)).Decode(&m)
}

// probesIn returns the probes of a file of size bytes that [unseal] found sound, nil if it has none.
func probesIn(f io.ReaderAt, size int64) ([]byte, error) {
	l, err := layoutOf(f, size)
	if err != nil || l.probes.size == 0 {
		return nil, err
	}
	return io.ReadAll(l.probes.in(f))
}

// checksum returns the CRC-32C of k and all of r.
func checksum(k key, r io.Reader) (uint32, error) {
	sum := crc32.Checksum(k[:], castagnoli)
	buf := make([]byte, 128<<10)
	for {
		n, err := r.Read(buf)
		sum = crc32.Update(sum, castagnoli, buf[:n])
		if err == io.EOF {
			return sum, nil
		}
		if err != nil {
			return 0, err
		}
	}
}
