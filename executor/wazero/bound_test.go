package wazero

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/guest"
)

// wasm returns a module of sections, each an id and what is in it.
func wasm(sections ...string) []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range sections {
		b = append(b, s[0], byte(len(s)-1))
		b = append(b, s[1:]...)
	}
	return b
}

func TestBoundTables(t *testing.T) {
	tests := []struct {
		why      string
		in, want string // table sections
		total    uint64
	}{
		{"no maximum gets one", "\x04\x01\x70\x00\x05", "\x04\x01\x70\x01\x05\x64", 5},
		{"a larger one is cut", "\x04\x01\x6f\x01\x05\xff\x01", "\x04\x01\x6f\x01\x05\x64", 5},
		{"a smaller one stays", "\x04\x01\x70\x01\x05\x0a", "\x04\x01\x70\x01\x05\x0a", 5},
		{"two share the rest", "\x04\x02\x70\x00\x0a\x6f\x00\x14", "\x04\x02\x70\x01\x0a\x2d\x6f\x01\x14\x37", 30},
		{"too large to begin with does not grow", "\x04\x01\x70\x00\xc8\x01", "\x04\x01\x70\x01\xc8\x01\xc8\x01", 200},
		{"none", "\x04\x00", "\x04\x00", 0},
	}
	for _, tt := range tests {
		got, found, err := bound(wasm(tt.in), 100)
		if err != nil || !bytes.Equal(got, wasm(tt.want)) || found.table != tt.total {
			t.Errorf("%x: got %x, %d elements, %v; want %x, %d: %s", tt.in, got[8:], found.table, err, tt.want, tt.total, tt.why)
		}
	}
}

func TestBoundImports(t *testing.T) {
	in := wasm("\x02\x04" +
		"\x01e\x01f\x00\x00" + "\x01e\x01t\x01\x70\x00\x01" + "\x01e\x01m\x02\x01\x01\x02" + "\x01e\x01g\x03\x7f\x00")
	_, found, err := bound(in, 100)
	want := []guest.FuncType{
		{Module: "e", Name: "t", Params: "?"}, {Module: "e", Name: "m", Params: "?"}, {Module: "e", Name: "g", Params: "?"},
	}
	if err != nil || !slices.Equal(found.imports, want) {
		t.Errorf("got %v, %v; want %v", found.imports, err, want)
	}
}

func TestBoundRefuses(t *testing.T) {
	tests := []struct{ why, in string }{
		{"no header", ""},
		{"half a header", "\x00asm"},
		{"a section without a size", "\x00asm\x01\x00\x00\x00\x04"},
		{"a section past the end", "\x00asm\x01\x00\x00\x00\x04\x05\x01"},
		{"2^32-1 tables", string(wasm("\x04\xff\xff\xff\xff\x0f"))},
		{"a size of 64 bits", string(wasm("\x04\xff\xff\xff\xff\xff\xff\xff\xff\x7f"))},
		{"a table of another type", string(wasm("\x04\x01\x63\x00\x05"))},
		{"a table with a first value", string(wasm("\x04\x01\x40\x00\x70\x00\x05\xd2\x00\x0b"))},
		{"a shared table", string(wasm("\x04\x01\x70\x03\x05\x06"))},
		{"a maximum below the minimum", string(wasm("\x04\x01\x70\x01\x05\x04"))},
		{"an import of a kind that is none", string(wasm("\x02\x01\x01e\x01f\x09\x00"))},
		{"a name past the end", string(wasm("\x02\x01\xff\xff\xff\xff\x0fe"))},
	}
	for _, tt := range tests {
		if _, _, err := bound([]byte(tt.in), 100); err == nil {
			t.Errorf("%x: got no error: %s", tt.in, tt.why)
		}
	}
}

// What is bounded stays so, and what is left alone is as it was.
func FuzzBound(f *testing.F) {
	guests, err := filepath.Glob("../enginetest/testdata/*.wasm")
	if err != nil || len(guests) == 0 {
		f.Fatalf("got %d guests, %v", len(guests), err)
	}
	for _, path := range guests {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		once, found, err := bound(in, executor.DefaultTable)
		if err != nil {
			return
		}
		twice, again, err := bound(once, math.MaxUint32)
		if err != nil || !bytes.Equal(twice, once) || again.table != found.table || !slices.Equal(again.imports, found.imports) {
			t.Errorf("%x became %x and then %x, %v", in, once, twice, err)
		}
	})
}
