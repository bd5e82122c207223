// Package flow is what the tests of package host run natively and in a guest.
package flow

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/bungee-xr/bungee/hostfunc/scratch"
)

// Run uses each function of package scratch and returns what it saw.
func Run() string {
	var saw strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&saw, format+"\n", args...) }
	get := func(key string) {
		v, ok := scratch.Get(key)
		say("%s: %d bytes %q %t", key, len(v), v[:min(len(v), 8)], ok)
	}
	get("none")
	say("%v", scratch.Set("small", []byte("a value")))
	say("%v", scratch.Set("empty", nil))
	say("%v", scratch.Set("large", bytes.Repeat([]byte("large"), 3000)))
	get("small")
	get("empty")
	get("large")
	say("%v", scratch.Set("small", []byte("another")))
	get("small")
	say("too large: %t", errors.Is(scratch.Set("k", make([]byte, scratch.MaxValue+1)), scratch.ErrTooLarge))
	say("too large: %t", errors.Is(scratch.Set(strings.Repeat("k", scratch.MaxKey+1), nil), scratch.ErrTooLarge))
	var err error
	n := 0
	for ; err == nil; n++ {
		err = scratch.Set(fmt.Sprint("fill", n), make([]byte, scratch.MaxValue))
	}
	say("full after %d: %t", n, errors.Is(err, scratch.ErrFull))
	for i := range n {
		scratch.Delete(fmt.Sprint("fill", i))
	}
	scratch.Delete("large")
	get("large")
	return saw.String()
}
