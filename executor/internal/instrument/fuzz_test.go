package instrument_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	wz "github.com/tetratelabs/wazero"

	"github.com/bungee-xr/bungee/executor/enginetest/kernels"
	"github.com/bungee-xr/bungee/executor/internal/instrument"
)

// FuzzRewrite checks that Rewrite answers with an error, or with a module that is
// valid exactly where the one it was given is.
func FuzzRewrite(f *testing.F) {
	for _, name := range []string{"control", "sized", "classes", "nan"} {
		b, err := instrument.Rewrite(file(f, name), instrument.Options{})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, byte(15))
	}
	f.Add(function(f, "43 0000803f 43 00000040 92 1a 41 08 41 00 41 40 fc 0b 00"), byte(15))
	f.Add(function(f, "03 40 20 00 0d 00 0b 41 01 04 40 00 05 0f 0b 23 00 24 00"), byte(1))
	f.Add(module(f, "00 04 6e616d65 01 04 01 00 01 66"), byte(2))
	if testing.Short() {
		f.Add(kernels.Wasm(), byte(1))
	}
	r := interpreter(f)
	f.Fuzz(func(t *testing.T, wasm []byte, flags byte) { checkRewrite(t, r, wasm, flags) })
}

// FuzzCode is FuzzRewrite for modules of which only the code of one function is fuzzed.
func FuzzCode(f *testing.F) {
	for _, code := range []string{
		"43 0000803f 43 00000040 92 1a", "41 08 41 00 41 40 fc 0b 00", "41 01 40 00 1a", "d0 70 41 02 fc 0f 00 1a",
		"03 40 20 00 0d 00 0b 41 01 04 40 00 05 0f 0b 23 00 24 00", "41 02 0e 02 00 00 00", "02 7f 41 01 0b 41 02 02 00 0b 1a",
		"41 00 fc 10 00 fc 0b 00", "41 00 41 00 20 00 fc 0a 00 00", "41 00 d0 70 20 00 fc 11 00",
		"fd 0c 00000000000000000000000000000000 fd 43 00 01 fd e4 01 1a", "44 0000000000000000 9f fc 06 1a", "10 00 41 00 11 00 00",
	} {
		b := function(f, code)
		f.Add(b[len(b)-len(strings.ReplaceAll(code, " ", ""))/2-1:], byte(15))
	}
	// A global of i32 and a mutable one of f64, two locals of i32 and f64, one
	// memory, one table, the function () -> ().
	head := module(f, "01 01 60 00 00", "03 01 00", "04 01 70 00 08", "05 01 00 01", "06 02 7f 01 41 00 0b 7c 01 44 0000000000000000 0b")
	r := interpreter(f)
	f.Fuzz(func(t *testing.T, code []byte, flags byte) {
		body := append([]byte{2, 1, 0x7f, 1, 0x7c}, code...)
		section := append(append([]byte{1}, size(len(body))...), body...)
		wasm := append(append(bytes.Clone(head), 10), size(len(section))...)
		checkRewrite(t, r, append(wasm, section...), flags)
	})
}

// size returns a LEB128 number of 5 bytes.
func size(n int) []byte {
	return []byte{byte(n) | 0x80, byte(n>>7) | 0x80, byte(n>>14) | 0x80, byte(n>>21) | 0x80, byte(n>>28) & 0x0f}
}

func interpreter(f *testing.F) wz.Runtime {
	r := wz.NewRuntimeWithConfig(context.Background(), wz.NewRuntimeConfigInterpreter())
	f.Cleanup(func() { r.Close(context.Background()) })
	return r
}

func checkRewrite(t *testing.T, r wz.Runtime, wasm []byte, flags byte) {
	opts := instrument.Options{Fuel: flags&1 != 0, CanonicalNaN: flags&2 != 0, Refusals: flags&4 != 0, Split: flags&8 != 0}
	before := bytes.Clone(wasm)
	out, err := instrument.Rewrite(wasm, opts)
	if !bytes.Equal(before, wasm) {
		t.Fatal("Rewrite changed the bytes that it was given")
	}
	if err != nil {
		if !errors.Is(err, instrument.ErrModule) {
			t.Fatalf("error %v is not ErrModule", err)
		}
		return
	}
	if instrument.Check(wasm) != nil { // wazero would trust its counts
		if opts != (instrument.Options{}) {
			t.Fatal("Rewrite takes what Check refuses")
		}
		return
	}
	if len(out) > 40*len(wasm)+100 {
		t.Errorf("%d bytes of %d", len(out), len(wasm))
	}
	in := valid(t, r, wasm)
	if was := valid(t, r, out); (in == nil) != (was == nil) {
		t.Errorf("as it came: %v; rewritten: %v", in, was)
	}
}

// valid returns why wasm is not valid.
func valid(t *testing.T, r wz.Runtime, wasm []byte) error {
	m, err := r.CompileModule(t.Context(), wasm)
	if err == nil {
		err = m.Close(t.Context())
	}
	return err
}
