package enginetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasi"
	"github.com/bungee-xr/bungee/internal/abi"
)

// Functions of the guest in testdata/goguest.
const (
	goEcho = iota
	goError
	goPanic
	goCount
	goDeadline
	goLog
	goExit
	goEat
	goGorge
	goAnswer
)

// goGuest checks a guest with a runtime of its own: a collector, goroutines,
// and WASI below them.
func (s suite) goGuest(t *testing.T) {
	m := s.module(t, GoGuest(t))
	host, err := wasi.Functions(wasi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := executor.InstanceConfig{Host: []executor.HostFuncs{host}}
	in := instance(t, m, cfg)
	t.Run("Echo", func(t *testing.T) {
		for _, n := range []int{0, 1, 1 << 20} {
			want := strings.Repeat("y", n)
			if got := call(t, in, goEcho, want, abi.OK); got != want {
				t.Errorf("got %d bytes, %q; want %d", len(got), clip(got), n)
			}
		}
	})
	t.Run("Error", func(t *testing.T) {
		_, text, err := abi.ParseError([]byte(call(t, in, goError, "no such frame", abi.Error)))
		if text != "no such frame" || err != nil {
			t.Errorf("got %q, %v", text, err)
		}
	})
	t.Run("State", func(t *testing.T) {
		for _, want := range []string{"1", "2", "3"} {
			if got := call(t, in, goCount, "key", abi.OK); got != want {
				t.Errorf("got count %s, want %s", got, want)
			}
		}
	})
	t.Run("Deadline", func(t *testing.T) {
		// Without one, deadline is 0 and the time left is negative.
		left, err := time.ParseDuration(call(t, in, goDeadline, "", abi.OK))
		if err != nil || left >= 0 {
			t.Errorf("got %v left, %v; want a negative time", left, err)
		}
	})
	t.Run("Log", func(t *testing.T) {
		var got string
		logs := instance(t, m, executor.InstanceConfig{Host: cfg.Host, Log: func(line string) { got += line }})
		if call(t, logs, goLog, "from Go", abi.OK); got != "from Go" {
			t.Errorf("got log %q", got)
		}
	})
	t.Run("Panic", func(t *testing.T) {
		other := instance(t, m, cfg)
		if got := call(t, other, goPanic, "oops", abi.Panic); got != "oops" {
			t.Errorf("got %q", got)
		}
		mustDiscard(t, other)
	})
	t.Run("Exit", func(t *testing.T) {
		other := instance(t, m, cfg)
		_, err := other.Call(t.Context(), goExit, nil)
		mentions(t, err, executor.ErrTrap, "3")
		trappedForMemory(t, err, false)
		mustDiscard(t, other)
	})
	t.Run("Answer", func(t *testing.T) {
		// At the end of its time a guest has a grace to answer in.
		ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
		defer cancel()
		r, err := in.Call(ctx, goAnswer, nil)
		if err != nil || string(r.Payload) != "partial" || ctx.Err() != nil {
			t.Errorf("got %q, %v, context: %v; want an answer before the deadline", r.Payload, err, ctx.Err())
		}
	})
	for name, fn := range map[string]uint32{"Eat": goEat, "Gorge": goGorge} {
		t.Run(name, func(t *testing.T) {
			other := instance(t, m, executor.InstanceConfig{Host: cfg.Host, Limits: executor.Limits{Memory: 48 << 20}})
			_, err := other.Call(t.Context(), fn, nil)
			trappedForMemory(t, err, true)
			mustDiscard(t, other)
		})
	}
	if got := call(t, in, goEcho, "unharmed", abi.OK); got != "unharmed" {
		t.Errorf("after the others failed: got %q", got)
	}
}
