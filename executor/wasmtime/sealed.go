//go:build cgo

package wasmtime

import (
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
//	code | manifest, as JSON | length of the manifest, u32 | magic | checksum, u32
//
// Numbers are little-endian. The checksum is the CRC-32C of the file's key and all
// before it: a file under another's name does not match.
const (
	magic   = "bungee/1"
	endSize = 4 + len(magic) + 4
	// maxManifest bounds the manifest. One in a module is shorter.
	maxManifest = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errChecksum = errors.New("the file does not match its checksum")
	errEnd      = errors.New("the file does not end as it must")
)

// seal returns what follows code in the file of k.
func seal(k key, code []byte, manifest capability.Manifest) ([]byte, error) {
	end, err := json.Marshal(manifest)
	if err != nil {
		return nil, fmt.Errorf("encode the manifest: %w", err)
	}
	if len(end) > maxManifest {
		return nil, fmt.Errorf("the manifest has %d bytes; at most %d are kept", len(end), maxManifest)
	}
	end = binary.LittleEndian.AppendUint32(end, uint32(len(end)))
	end = append(end, magic...)
	sum := crc32.Update(crc32.Checksum(k[:], castagnoli), castagnoli, code)
	return binary.LittleEndian.AppendUint32(end, crc32.Update(sum, castagnoli, end)), nil
}

// unseal compares the checksum of a file of size bytes and returns its manifest. It
// reads 6 MB, a Go guest, in a millisecond.
func unseal(k key, f io.ReaderAt, size int64) (m capability.Manifest, err error) {
	var end [endSize]byte
	at := size - int64(endSize)
	if at < 0 {
		return m, errEnd
	}
	if _, err := f.ReadAt(end[:], at); err != nil {
		return m, err
	}
	n := int64(binary.LittleEndian.Uint32(end[:]))
	if string(end[4:4+len(magic)]) != magic || n > min(at, maxManifest) {
		return m, errEnd
	}
	sum, err := checksum(k, io.NewSectionReader(f, 0, size-4))
	if err != nil {
		return m, err
	}
	if sum != binary.LittleEndian.Uint32(end[endSize-4:]) {
		return m, errChecksum
	}
	return m, json.NewDecoder(io.NewSectionReader(f, at-n, n)).Decode(&m)
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
