package wasmbin_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/bungee-xr/bungee/executor/internal/wasmbin"
)

func files(t testing.TB) [][]byte {
	t.Helper()
	paths, err := filepath.Glob("../../enginetest/testdata/*.wasm")
	if err != nil || len(paths) < 10 {
		t.Fatalf("%d modules, %v", len(paths), err)
	}
	var all [][]byte
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

func TestSectionsAndJoin(t *testing.T) {
	for _, wasm := range files(t) {
		sections, err := wasmbin.Sections(wasm)
		if err != nil {
			t.Fatal(err)
		}
		if got := wasmbin.Join(sections); !bytes.Equal(got, wasm) {
			t.Errorf("got %d bytes, want the %d that they came from", len(got), len(wasm))
		}
	}
	for _, bad := range []string{"", "\x00asm", "\x00asm\x01\x00\x00\x00\x01", "\x00asm\x01\x00\x00\x00\x01\x05x", "\x00asm\x01\x00\x00\x00\x0d\x00", "\x00asm\x0d\x00\x01\x00"} {
		if _, err := wasmbin.Sections([]byte(bad)); !errors.Is(err, wasmbin.ErrMalformed) {
			t.Errorf("%q: got %v, want %v", bad, err, wasmbin.ErrMalformed)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, tt := range []struct {
		bytes  string
		size   int // of a signed number, 0: it is unsigned
		want   int64
		failed bool
	}{
		{"\x00", 0, 0, false},
		{"\x7f", 0, 127, false},
		{"\xff\xff\xff\xff\x0f", 0, 1<<32 - 1, false},
		{"\xff\xff\xff\xff\x1f", 0, 0, true},     // 33 bits
		{"\x80\x80\x80\x80\x80\x00", 0, 0, true}, // 6 bytes
		{"\x80", 0, 0, true},
		{"", 0, 0, true},
		{"\x7f", 5, -1, false},
		{"\x3f", 5, 63, false},
		{"\x40", 5, -64, false},
		{"\x80\x80\x80\x80\x78", 5, -1 << 31, false},
		{"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f", 10, -1 << 63, false},
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00", 10, 1<<63 - 1, false},
		{"\x80\x80\x80\x80\x80\x00", 5, 0, true},
	} {
		r := wasmbin.NewReader([]byte(tt.bytes))
		got := int64(0)
		if tt.size == 0 {
			got = int64(r.U32())
		} else {
			got = r.Signed(tt.size)
		}
		if got != tt.want || (r.Err() != nil) != tt.failed {
			t.Errorf("%x of %d bytes: got %d, %v; want %d, an error: %t", tt.bytes, tt.size, got, r.Err(), tt.want, tt.failed)
		}
	}
}

func TestAppend(t *testing.T) {
	sections := []wasmbin.Section{{ID: wasmbin.Type, Body: []byte{1, 7}}, {ID: wasmbin.Custom, Body: []byte("n")}, {ID: wasmbin.Code, Body: []byte{0}}, {ID: wasmbin.Data, Body: []byte{0}}, {ID: wasmbin.Custom}}
	for _, tt := range []struct {
		id   byte
		want string
	}{
		{wasmbin.Type, "\x01\x03\x02\x07\x09"}, // one more in what is there
		{wasmbin.Export, "\x07\x02\x01\x09"},   // before the code
		{wasmbin.DataCount, "\x0c\x02\x01\x09"},
	} {
		var err error
		if sections, err = wasmbin.Append(sections, tt.id, []byte{9}); err != nil {
			t.Fatal(err)
		}
		if got := wasmbin.Join(sections); !bytes.Contains(got, []byte(tt.want)) {
			t.Errorf("an entry for section %d: got %x, want %x in it", tt.id, got, tt.want)
		}
	}
	var order []byte
	for _, s := range sections {
		order = append(order, s.ID)
	}
	want := []byte{wasmbin.Type, wasmbin.Export, wasmbin.DataCount, wasmbin.Custom, wasmbin.Code, wasmbin.Data, wasmbin.Custom}
	if bytes.Count(order, []byte{wasmbin.Custom}) != 2 || len(order) != len(want) || bytes.IndexByte(order, wasmbin.Export) > bytes.IndexByte(order, wasmbin.DataCount) ||
		bytes.IndexByte(order, wasmbin.DataCount) > bytes.IndexByte(order, wasmbin.Code) {
		t.Errorf("got sections %v, want an order such as %v", order, want)
	}
}

func TestEachBelievesNoNumber(t *testing.T) {
	r := wasmbin.NewReader([]byte("\xff\xff\xff\xff\x0fxx"))
	calls := 0
	r.Each(func() { calls++ })
	if calls != 0 || !errors.Is(r.Err(), wasmbin.ErrMalformed) {
		t.Errorf("2^32-1 entries in 2 bytes: got %d calls, %v", calls, r.Err())
	}
}

// FuzzRead checks that nothing panics and nothing is read twice.
func FuzzRead(f *testing.F) {
	for _, wasm := range files(f) {
		f.Add(wasm)
	}
	f.Fuzz(func(t *testing.T, wasm []byte) {
		sections, err := wasmbin.Sections(wasm)
		if err != nil {
			return
		}
		for _, s := range sections {
			r := wasmbin.NewReader(s.Body)
			entries := 0
			switch s.ID {
			case wasmbin.Import:
				r.Each(func() { entries++; r.Import() })
			case wasmbin.Element:
				r.Each(func() { entries++; r.ElementSegment() })
			case wasmbin.Data:
				r.Each(func() { entries++; r.DataSegment() })
			default:
				r.Constant()
			}
			if entries > len(s.Body) {
				t.Errorf("%d entries in %d bytes", entries, len(s.Body))
			}
		}
	})
}
