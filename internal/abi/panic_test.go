package abi_test

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/bungee-xr/bungee/internal/abi"
)

// caught runs f and returns what is told of its panic.
func caught(f func()) (payload []byte) {
	defer func() { payload = abi.AppendPanic(nil, recover()) }()
	f()
	return nil
}

func TestPanicLine(t *testing.T) {
	var none *time.Time
	index := 5
	tests := []struct {
		why  string
		f    func()
		want string // a regular expression of the line
	}{
		{"text", func() { panic("on purpose") }, `^on purpose \(abi_test\.TestPanicLine\.func1, panic_test\.go:\d+\)$`},
		{"an error", func() { panic(errors.New("an error")) }, `^an error \(abi_test\.`},
		{"a Stringer", func() { panic(time.Second) }, `^1s \(`},
		{"numbers", func() { panic(7) }, `^7 \(`},
		{"", func() { panic(1.5) }, `^1\.5 \(`},
		{"", func() { panic(true) }, `^true \(`},
		{"another type", func() { panic(struct{}{}) }, `^value of a type without Error or String \(`},
		{"the runtime's own is where the code is, not the runtime", func() { _ = []int{1}[index] }, `^runtime error: index out of range \[5\] with length 1 \(abi_test\.TestPanicLine\.func\d+, panic_test\.go:\d+\)$`},
		{"", func() { _ = none.Unix() }, `^runtime error: invalid memory address or nil pointer dereference \(`},
		{"a value whose text panics", func() { panic(tricky{}) }, `^value whose text panics \(abi_test\.TestPanicLine`},
		{"lines become one", func() { panic("a\nb\r\nc\x00") }, `^a b  c  \(`},
		{"a text that is too long keeps the place", func() { panic(strings.Repeat("x", 100_000)) }, `^x+ \(abi_test\..*:\d+\)$`},
	}
	for _, tt := range tests {
		payload := caught(tt.f)
		line, stack := abi.SplitPanic(payload)
		if !regexp.MustCompile(tt.want).MatchString(line) || len(line) > abi.MaxPanic {
			t.Errorf("%s: got %q, want one line like %s", tt.why, line, tt.want)
		}
		if !bytes.HasPrefix(stack, []byte("goroutine ")) || len(payload) > abi.MaxText {
			t.Errorf("%s: stack %.40q in a payload of %d bytes", tt.why, stack, len(payload))
		}
	}
}

// tricky is an error that panics when it is asked for its text.
type tricky struct{}

func (tricky) Error() string { panic("again") }

func TestSplitPanic(t *testing.T) {
	tests := []struct{ payload, line, stack string }{
		{"", "", ""},
		{"index out of range", "index out of range", ""},
		{"what\n\nstack\nmore", "what", "stack\nmore"},
		{"what\nstack", "what", "stack"},
		{"a\x1b[2Jb", "a [2Jb", ""},
		{strings.Repeat("x", 2*abi.MaxText), strings.Repeat("x", abi.MaxPanic), ""},
		{strings.Repeat("é", abi.MaxPanic), strings.Repeat("é", abi.MaxPanic/2), ""},
	}
	for _, tt := range tests {
		if line, stack := abi.SplitPanic([]byte(tt.payload)); line != tt.line || string(stack) != tt.stack {
			t.Errorf("%.40q: got %q, %q", tt.payload, line, stack)
		}
	}
}

func FuzzSplitPanic(f *testing.F) {
	f.Add([]byte("what\n\nstack"))
	f.Add(bytes.Repeat([]byte{0xff}, 600))
	f.Fuzz(func(t *testing.T, payload []byte) {
		line, stack := abi.SplitPanic(payload)
		if len(line) > abi.MaxPanic || strings.ContainsAny(line, "\n\r\x00\x1b") || len(line)+len(stack) > abi.MaxText+abi.MaxPanic {
			t.Errorf("%q: line %q, stack of %d bytes", payload, line, len(stack))
		}
		if utf8.Valid(payload) && !utf8.ValidString(line) {
			t.Errorf("%q: line %q is no UTF-8", payload, line)
		}
	})
}
