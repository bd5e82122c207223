package capability

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Section is the name of the custom section that holds a module's manifest, as JSON.
const Section = "bungee.manifest"

// MaxSection bounds the text of a manifest, in bytes.
const MaxSection = 64 << 10

// ErrWasm says that bytes do not have the layout of a core Wasm module.
var ErrWasm = errors.New("not a Wasm module")

// Read returns the manifest of a module, or the zero Manifest when the module has none. It
// looks at the layout of sections only, and returns ErrWasm when wasm has no such
// layout; an engine decides whether the module is valid. A manifest with an unknown key,
// and one that [Manifest.Check] refuses, are errors, too, since it must not be half
// understood.
func Read(wasm []byte) (Manifest, error) {
	var found []byte
	err := sections(wasm, func(s section) error {
		text, ok := s.custom(Section)
		switch {
		case !ok:
			return nil
		case found != nil:
			return fmt.Errorf("the module has two sections %q; it may have one", Section)
		case len(text) > MaxSection:
			return fmt.Errorf("manifest: it has %d bytes; at most %d are read", len(text), MaxSection)
		}
		found = text[:len(text):len(text)]
		return nil
	})
	if err != nil || found == nil {
		return Manifest{}, err
	}
	return parseManifest(found)
}

// Append returns a copy of wasm that has the manifest m, in place of an earlier one. The
// error is that of [Manifest.Check], or ErrWasm when wasm is not a module, or says that m
// is too large.
func Append(wasm []byte, m Manifest) ([]byte, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	text := m.String()
	if len(text) > MaxSection {
		return nil, fmt.Errorf("manifest: it would have %d bytes; at most %d are read", len(text), MaxSection)
	}
	return replaceCustom(wasm, Section, []byte(text))
}

// replaceCustom returns a copy of wasm whose only custom section of that name has data. Without data there is none.
func replaceCustom(wasm []byte, name string, data []byte) ([]byte, error) {
	out := append(make([]byte, 0, len(wasm)+len(data)+64), preamble...)
	err := sections(wasm, func(s section) error {
		if _, ok := s.custom(name); !ok {
			out = append(out, s.whole...)
		}
		return nil
	})
	if err != nil || len(data) == 0 {
		return out, err
	}
	return appendCustom(out, name, data), nil
}

// appendCustom adds a custom section to a module.
func appendCustom(wasm []byte, name string, data []byte) []byte {
	body := binary.AppendUvarint(nil, uint64(len(name)))
	body = append(append(body, name...), data...)
	wasm = binary.AppendUvarint(append(wasm, customID), uint64(len(body)))
	return append(wasm, body...)
}

// Imports returns the names that wasm imports host functions by, each once, in the order
// of the imports. It is an error when wasm imports anything but functions; modules that
// Go builds do not.
func Imports(wasm []byte) (names []string, err error) {
	err = sections(wasm, func(s section) error {
		if s.id != importID {
			return nil
		}
		names, err = importNames(s.body)
		return err
	})
	return names, err
}

func importNames(body []byte) (names []string, err error) {
	r := reader{rest: body}
	for n := r.u32(); n > 0 && r.err == nil; n-- {
		module, _, kind := r.bytes(), r.bytes(), r.byte()
		r.u32() // the function's type
		switch name := string(module); {
		case r.err != nil:
		case kind != 0:
			return nil, fmt.Errorf("it imports from %q what is no function; only functions are read", clip(name))
		case !slices.Contains(names, name):
			names = append(names, name)
		}
	}
	return names, r.err
}

// preamble begins a module: magic and version 1 (Wasm core specification, 5.5.16).
var preamble = []byte("\x00asm\x01\x00\x00\x00")

// Numbers of sections.
const (
	customID = 0
	importID = 2
)

// A section is a part of a module.
type section struct {
	id    byte
	body  []byte
	whole []byte // with what stands before the body
}

// custom returns the data of the section if it is a custom one of that name.
func (s section) custom(want string) (data []byte, ok bool) {
	if s.id != customID {
		return nil, false
	}
	r := reader{rest: s.body}
	name := r.bytes()
	return r.rest, r.err == nil && string(name) == want
}

// sections gives the sections of wasm to use, until an error.
func sections(wasm []byte, use func(section) error) error {
	rest, ok := bytes.CutPrefix(wasm, preamble)
	if !ok {
		return fmt.Errorf("%w: it does not begin with the magic bytes and version 1 of core Wasm", ErrWasm)
	}
	for r := (reader{rest: rest}); len(r.rest) > 0; {
		before := r.rest
		s := section{id: r.byte(), body: r.bytes()}
		if r.err != nil {
			return fmt.Errorf("%w at byte %d of %d", r.err, len(wasm)-len(before), len(wasm))
		}
		s.whole = before[:len(before)-len(r.rest)]
		if err := use(s); err != nil {
			return err
		}
	}
	return nil
}

// A reader reads values of the binary format. After an error all are zero. Engines have a reader of their own, in
// executor/internal/wasmbin: this package is below them, and the generator has it without them.
type reader struct {
	rest []byte
	err  error
}

var errCutOff = fmt.Errorf("%w: a section is cut off or has a bad length", ErrWasm)

func (r *reader) fail() {
	r.rest, r.err = nil, errCutOff
}

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.fail()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// u32 reads a number in LEB128 of at most five bytes.
func (r *reader) u32() uint32 {
	v, n := binary.Uvarint(r.rest[:min(len(r.rest), 5)])
	if n <= 0 || v > 1<<32-1 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return uint32(v)
}

// bytes reads a length and as many bytes.
func (r *reader) bytes() []byte {
	n := r.u32()
	if uint64(n) > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}
