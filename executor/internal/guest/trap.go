package guest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bungee-xr/bungee/executor"
)

// Trap returns the error of a guest that stopped with the engine's message: one line that
// says why, and in which function. stop is why the engine stopped it: ErrDeadline,
// ErrCanceled, ErrFuel, or nil when it stopped by itself or in a host function. refused is
// [instrument.RefusedGlobal]: the guest was refused memory in this call.
func (l *Linkage) Trap(message string, stop error, refused bool) error {
	kind := stop
	switch {
	case stop == nil && refused:
		kind = fmt.Errorf("%w; its limit is %d bytes", executor.ErrMemory, l.Limits.Memory)
	case stop == nil:
		kind = executor.ErrTrap
	}
	what, where := parseTrap(message)
	if kind == executor.ErrTrap && (strings.Contains(what, "call stack exhausted") || strings.Contains(what, "stack overflow")) {
		kind = executor.ErrStack // in the words of wasmtime, and of wazero
	}
	switch {
	case l.err != nil && errors.Is(l.err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", executor.ErrDeadline, l.err)
	case l.err != nil && errors.Is(l.err, context.Canceled):
		return fmt.Errorf("%w: %w", executor.ErrCanceled, l.err)
	case l.err != nil:
		return fmt.Errorf("%w: %w", kind, l.err)
	case where == "" && stop != nil:
		return kind
	case stop != nil:
		return fmt.Errorf("%w, in %q", kind, where)
	case where == "":
		return fmt.Errorf("%w: %q", kind, what)
	}
	return fmt.Errorf("%w: %q in %q", kind, what, where)
}

// The bounds on what an error says of a trap. Names of functions are the module's.
const (
	maxWhat  = 256
	maxWhere = 128
)

// parseTrap returns the cause in an engine's message, and the function that its backtrace
// begins with, "" for none. The rest of the backtrace is left out: it may be long, and few
// modules have names in it.
func parseTrap(message string) (what, where string) {
	trace, what, ok := strings.Cut(message, "\n\nCaused by:\n") // wasmtime
	if ok {
		_, trace, _ = strings.Cut(trace, "\n")
		where = firstLine(trace)
		where = where[strings.LastIndexByte(where, '!')+1:]
	} else { // wazero
		what, trace, _ = strings.Cut(message, "\n")
		_, trace, _ = strings.Cut(trace, "\n")
		where = firstLine(trace)
	}
	return clip(oneLine(what), maxWhat), clip(where, maxWhere)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return strings.TrimSpace(line)
}

// oneLine joins the lines of a list of causes, each of which may have a number.
func oneLine(causes string) string {
	var all []string
	for line := range strings.Lines(causes) {
		line = strings.TrimSpace(line)
		if number, cause, ok := strings.Cut(line, ": "); ok && strings.Trim(number, "0123456789") == "" {
			line = cause
		}
		all = append(all, line)
	}
	return strings.Join(all, ": ")
}

// clip shortens s to at most n bytes. Its users quote what it returns.
func clip(s string, n int) string { return s[:min(len(s), n)] }
