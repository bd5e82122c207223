package abi_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/bungee-xr/bungee/internal/abi"
)

// golden reads the bytes of the block "hex NAME" of docs/abi.md: on each line,
// what stands before the first two spaces.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	doc, err := os.ReadFile("../../docs/abi.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```hex " + name + "\n(.*?)```").FindSubmatch(doc)
	if block == nil {
		t.Fatalf("docs/abi.md has no block %q", name)
	}
	var b []byte
	for line := range strings.Lines(string(block[1])) {
		digits, _, _ := strings.Cut(line, "  ")
		part, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(digits), " ", ""))
		if err != nil {
			t.Fatalf("block %q, line %q: %v", name, line, err)
		}
		b = append(b, part...)
	}
	return b
}

func TestGoldenReplies(t *testing.T) {
	tests := []struct {
		name   string
		made   []byte
		status abi.Status
	}{
		{"ok", append([]byte{byte(abi.OK)}, "hello"...), abi.OK},
		{"error", abi.AppendError([]byte{byte(abi.Error)}, "app.dark", "too dark"), abi.Error},
		{"panic", append([]byte{byte(abi.Panic)}, "index out of range"...), abi.Panic},
	}
	for _, tt := range tests {
		want := golden(t, tt.name)
		if !bytes.Equal(tt.made, want) {
			t.Errorf("%s: made % x, docs/abi.md has % x", tt.name, tt.made, want)
		}
		r, err := abi.ParseReply(want)
		if err != nil || r.Status != tt.status || !bytes.Equal(r.Payload, want[1:]) {
			t.Errorf("%s: ParseReply(% x) = %v, %v", tt.name, want, r, err)
		}
	}
	code, text, err := abi.ParseError(golden(t, "error")[1:])
	if code != "app.dark" || text != "too dark" || err != nil {
		t.Errorf("ParseError: got %q, %q, %v", code, text, err)
	}
}

func TestParseReplyRefuses(t *testing.T) {
	tests := []struct {
		why string
		in  []byte
	}{
		{"there is no status", nil},
		{"a status of another version", []byte{4}},
		{"past the bound", make([]byte, abi.MaxReply+2)},
	}
	for _, tt := range tests {
		if r, err := abi.ParseReply(tt.in); err == nil {
			t.Errorf("%d bytes: got %v, want an error: %s", len(tt.in), r.Status, tt.why)
		}
	}
}

func TestParseReplyCutsPanic(t *testing.T) {
	r, err := abi.ParseReply(append([]byte{byte(abi.Panic)}, make([]byte, abi.MaxText+1)...))
	if err != nil || len(r.Payload) != abi.MaxText {
		t.Errorf("got %d bytes, %v; want %d", len(r.Payload), err, abi.MaxText)
	}
}

func TestParseErrorRefuses(t *testing.T) {
	tests := []struct {
		why string
		in  string
	}{
		{"no length", ""},
		{"half a length", "\x01"},
		{"a code longer than the payload", "\x05\x00code"},
		{"a length of 65535", "\xff\xff"},
		{"a code past its bound", "\x00\x01" + strings.Repeat("c", 256)},
	}
	for _, tt := range tests {
		if code, text, err := abi.ParseError([]byte(tt.in)); err == nil {
			t.Errorf("%q: got %q, %q, want an error: %s", tt.in, code, text, tt.why)
		}
	}
}

func TestAppendErrorCuts(t *testing.T) {
	long := strings.Repeat("é", abi.MaxText)
	code, text, err := abi.ParseError(abi.AppendError(nil, long, long))
	if err != nil || len(code) != 254 || len(text) != abi.MaxText {
		t.Errorf("got code of %d and text of %d bytes, %v; want 254 and %d: cut at a rune's edge", len(code), len(text), err, abi.MaxText)
	}
	if !utf8.ValidString(code) || !utf8.ValidString(text) {
		t.Error("a rune was cut in two")
	}
}

func TestSplitReply(t *testing.T) {
	if ptr, n := abi.SplitReply(0xfffffff0_00000007); ptr != 0xfffffff0 || n != 7 {
		t.Errorf("got %#x, %d", ptr, n)
	}
}

func FuzzParseReply(f *testing.F) {
	for _, name := range []string{"ok", "error", "panic"} {
		f.Add(golden(f, name))
	}
	f.Add([]byte{})
	f.Add([]byte{9})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := abi.ParseReply(b)
		if err != nil {
			return
		}
		back := append([]byte{byte(r.Status)}, r.Payload...)
		cut := r.Status == abi.Panic && len(r.Payload) == abi.MaxText
		if !bytes.HasPrefix(b, back) || len(back) != len(b) && !cut {
			t.Errorf("ParseReply(%q) = %v, which is %q again", b, r, back)
		}
	})
}

func FuzzParseError(f *testing.F) {
	f.Add(golden(f, "error")[1:])
	f.Add([]byte{0, 0})
	f.Add([]byte{255, 255, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		code, text, err := abi.ParseError(b)
		if err != nil {
			return
		}
		if len(text) > abi.MaxText {
			t.Errorf("ParseError(%q): text of %d bytes", b, len(text))
		}
		code2, text2, err := abi.ParseError(abi.AppendError(nil, code, text))
		if code2 != code || text2 != text || err != nil {
			t.Errorf("%q, %q came back as %q, %q, %v", code, text, code2, text2, err)
		}
	})
}

func TestInside(t *testing.T) {
	tests := []struct {
		ptr, n uint32
		size   uint64
		want   bool
	}{
		{0, 0, 0, true}, {0, 1, 0, false}, {65536, 0, 65536, true}, {65535, 1, 65536, true},
		{65535, 2, 65536, false}, {65537, 0, 65536, false}, {1<<32 - 1, 1, 1 << 32, true},
		{1<<32 - 1, 2, 1 << 32, false}, {1<<32 - 1, 1<<32 - 1, 1 << 32, false}, {1 << 31, 1 << 31, 0, false},
	}
	for _, tt := range tests {
		if got := abi.Inside(tt.ptr, tt.n, tt.size); got != tt.want {
			t.Errorf("%d bytes at %#x of %#x: got %t", tt.n, tt.ptr, tt.size, got)
		}
	}
}
