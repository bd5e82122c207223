package abi

import (
	"bytes"
	"path"
	"runtime"
	"strconv"
	"strings"
)

// Bounds on what is told of a panic.
const (
	MaxPanic = 512      // what an error says of it: one line
	maxStack = 16 << 10 // in a reply, for the host's log
)

// PanicLine says in one line what v is and where the goroutine panicked with it. Call it
// in the deferred function that recovered v. It does without package fmt, as guests do.
func PanicLine(v any) string {
	line := panicText(v)
	if at := panicPlace(); at != "" {
		line = clip(line, MaxPanic-len(at)-1) + " " + at
	}
	return clipLine(line)
}

// AppendPanic appends the payload of a Panic reply: what PanicLine says, an empty line,
// and the stack.
func AppendPanic(b []byte, v any) []byte {
	b = append(append(b, PanicLine(v)...), "\n\n"...)
	stack := make([]byte, maxStack)
	return append(b, stack[:runtime.Stack(stack, false)]...)
}

// SplitPanic returns the two parts of the payload of a Panic reply: its first line, for
// errors, and the rest, for a log. The payload is data from another machine.
func SplitPanic(payload []byte) (line string, stack []byte) {
	payload = payload[:min(len(payload), MaxText)]
	first, stack, _ := bytes.Cut(payload, []byte("\n"))
	return clipLine(string(first)), bytes.TrimLeft(stack, "\n")
}

// clipLine makes s one line, of bounded length.
func clipLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, clip(s, MaxPanic))
	return clip(s, MaxPanic) // what was no UTF-8 has grown
}

// panicPlace returns "(function, file:line)" of the code that panicked, "" if it is not on
// the stack.
func panicPlace() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	panicking := false
	for {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			panicking = true
		case panicking && !strings.HasPrefix(f.Function, "runtime."):
			return "(" + path.Base(f.Function) + ", " + path.Base(f.File) + ":" + strconv.Itoa(f.Line) + ")"
		}
		if !more {
			return ""
		}
	}
}

// panicText returns v as the runtime would print it. It survives a v that panics, too.
func panicText(v any) (text string) {
	defer func() {
		if recover() != nil {
			text = "value whose text panics"
		}
	}()
	switch v := v.(type) {
	case error:
		return v.Error()
	case interface{ String() string }:
		return v.String()
	case string:
		return v
	case int:
		return strconv.Itoa(v)
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return "value of a type without Error or String"
}
