package wasmbin_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
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
		{"\x85", 5, 0, true}, // no zero but for the error
		{"\x85", 0, 0, true},
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

// Each way to read more than there is fails where it was, and leaves nothing to read.
func TestErrors(t *testing.T) {
	const at = 3 // bytes that are well
	for _, tt := range []struct {
		name, rest string
		read       func(r *wasmbin.Reader) (zero bool)
		want       string // the error's end
	}{
		{"byte", "", func(r *wasmbin.Reader) bool { return r.Byte() == 0 }, "unexpected end at offset 0x3"},
		{"skip", "ab", func(r *wasmbin.Reader) bool { r.Skip(3); return true }, "unexpected end at offset 0x3"},
		{"skip back", "ab", func(r *wasmbin.Reader) bool { r.Skip(-1); return true }, "unexpected end at offset 0x3"},
		{"number", "\x85", func(r *wasmbin.Reader) bool { return r.U32() == 0 }, "unexpected end at offset 0x4"},
		{"long number", "\xff\xff\xff\xff\x10ab", func(r *wasmbin.Reader) bool { return r.U32() == 0 }, "number of more than 32 bits at offset 0x8"},
		{"signed number", "\x85\x85ab", func(r *wasmbin.Reader) bool { return r.Signed(2) == 0 }, "number of too many bytes at offset 0x5"},
		{"bytes", "\x03ab", func(r *wasmbin.Reader) bool { return r.Bytes() == nil }, "length of more than there are bytes at offset 0x4"},
		{"part", "\xff\xff\xff\xff\x0fab", func(r *wasmbin.Reader) bool { p := r.Part(); return !p.More() && p.Err() != nil }, "length of more than there are bytes at offset 0x8"},
		{"vector", "\x03ab", func(r *wasmbin.Reader) bool { zero := true; r.Each(func() { zero = false }); return zero }, "vector of more elements than there are bytes at offset 0x4"},
		{"vector that fails", "\x02ab", func(r *wasmbin.Reader) bool { n := 0; r.Each(func() { n++; r.Fail("no") }); return n == 1 }, "no at offset 0x4"},
		{"done", "ab", func(r *wasmbin.Reader) bool { r.Done("what"); return true }, "bytes too many in what at offset 0x3"},
		{"constant", "\x00ab", func(r *wasmbin.Reader) bool { r.Constant(); return true }, "no constant at offset 0x4"},
	} {
		r := wasmbin.NewReader([]byte("xyz" + tt.rest))
		r.Skip(at)
		if !tt.read(r) {
			t.Errorf("%s: got something, want zero", tt.name)
		}
		err := r.Err()
		if !errors.Is(err, wasmbin.ErrMalformed) || !strings.HasSuffix(err.Error(), ": "+tt.want) {
			t.Errorf("%s: got %v, want ErrMalformed: %s", tt.name, err, tt.want)
			continue
		}
		r.Stop(errors.New("another"))
		r.Skip(1)
		if r.Fail("another"); r.Err().Error() != err.Error() {
			t.Errorf("%s: after other errors got %v, want the first, %v", tt.name, r.Err(), err)
		}
		if r.More() || r.Left() != 0 || len(r.Rest()) != 0 || r.Byte() != 0 || r.Peek() != 0 || r.U32() != 0 || len(r.Bytes()) != 0 {
			t.Errorf("%s: there is more to read after the error", tt.name)
		}
	}
}

func TestStop(t *testing.T) {
	r := wasmbin.NewReader([]byte("ab"))
	if r.Stop(nil); r.Err() != nil || r.Left() != 2 {
		t.Errorf("no error: got %v, %d bytes left", r.Err(), r.Left())
	}
	stop := errors.New("stop")
	r.Stop(stop)
	if r.Fail("another"); r.Err() != stop || r.More() {
		t.Errorf("got %v, want %v", r.Err(), stop)
	}
}

// A part knows where it is in its whole, sees nothing behind its end, and can be read twice.
func TestPart(t *testing.T) {
	r := wasmbin.NewReader([]byte("x\x02abcd"))
	r.Byte()
	p := r.Part()
	again := p
	if p.At() != 2 || p.End() != 4 || p.Left() != 2 || r.At() != 4 {
		t.Errorf("got a part of %d to %d, and %d behind it; want 2 to 4, and 4", p.At(), p.End(), r.At())
	}
	if rest := p.Rest(); string(rest) != "ab" || cap(rest) != 2 {
		t.Errorf("got %q of capacity %d, want ab of 2", rest, cap(rest))
	}
	if p.Skip(3); p.Err() == nil {
		t.Error("3 bytes of a part of 2: got no error")
	}
	if again.Err() != nil || again.Peek() != 'a' || again.Byte() != 'a' || again.Byte() != 'b' || again.More() {
		t.Errorf("the copy of a part that failed: got %v, %d bytes left", again.Err(), again.Left())
	}
	if r.Err() != nil || r.Byte() != 'c' {
		t.Errorf("the whole of a part that failed: %v", r.Err())
	}
}

// Where a section is malformed is told as an offset in the module.
func TestSectionsTellWhere(t *testing.T) {
	_, err := wasmbin.Sections([]byte("\x00asm\x01\x00\x00\x00\x01\x01\x00\x0d\x00"))
	if err == nil || !strings.HasSuffix(err.Error(), "unknown section at offset 0xd") {
		t.Errorf("got %v, want an unknown section that ends at 0xd", err)
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

// fuzzed reads parts in parts as deep as they go, and says of each where it is.
func fuzzed(t *testing.T, r wasmbin.Reader, from, to int) {
	if r.At() != from || r.End() != to || r.Left() != to-from || len(r.Rest()) != to-from || r.More() != (from < to) {
		t.Fatalf("a part of %d to %d: got %d to %d, %d left", from, to, r.At(), r.End(), r.Left())
	}
	for r.More() {
		part := r.Part()
		if r.Err() != nil {
			if part.Err() == nil || part.More() || r.More() {
				t.Fatalf("a part that ends behind its whole: %v, and there is more", part.Err())
			}
			return
		}
		fuzzed(t, part, r.At()-part.Left(), r.At())
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
			fuzzed(t, *r, 0, len(s.Body))
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

// The list of sections is not much larger than the module.
func TestManySections(t *testing.T) {
	module := func(n int) []byte {
		return append([]byte("\x00asm\x01\x00\x00\x00"), bytes.Repeat([]byte{0, 0}, n)...)
	}
	if got, err := wasmbin.Sections(module(10_000)); err != nil || len(got) != 10_000 {
		t.Errorf("%d sections, %v; want %d", len(got), err, 10_000)
	}
	if got, err := wasmbin.Sections(module(1 << 20)); !errors.Is(err, wasmbin.ErrMalformed) || len(got) > 10_000+1 {
		t.Errorf("%d sections, %v; want that they are too many", len(got), err)
	}
}
