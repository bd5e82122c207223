package host_test

import (
	"context"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/link"
)

// Calls and messages are told by how long they waited and took, to the millisecond.
func TestTimesOfCallsAndMessages(t *testing.T) {
	slow := func(_ context.Context, request, dst []byte) ([]byte, error) {
		time.Sleep(30 * time.Millisecond)
		return append(append(dst, byte(abi.OK)), request...), nil
	}
	engine := native.Engine{Functions: func() []native.Func { return []native.Func{slow, slow, slow} }}
	serve(t, host.Config{Engine: engine, Calls: 1}, []string{"ann"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		ann := conns[0]
		greet(t, ann, 7)
		ask(t, ann, put(wasm), true)
		answers := make(chan []byte)
		for range 3 {
			go func() { answers <- ask(t, ann, call(wasm), true) }()
		}
		for range 3 {
			wantEcho(t, "call", <-answers)
		}
		ask(t, ann, call(module(9)), true) // is not there, and waits for nothing
		st, fail := attach(t, ann, 1)
		if fail != nil {
			t.Fatal(fail)
		}
		message(t, st, 1, "hi")
		sleep()
		times := h.Times()
		for _, tt := range []struct {
			what  string
			got   host.Histogram
			count uint64
			sum   time.Duration
		}{
			{"calls", times.Calls, 3, (30 + 60 + 90) * time.Millisecond}, {"queue of calls", times.CallQueue, 3, (30 + 60) * time.Millisecond},
			{"messages", times.Messages, 1, 30 * time.Millisecond}, {"queue of messages", times.MessageQueue, 1, 0}, {"compilations", times.Compile, 0, 0},
		} {
			if tt.got.Count() != tt.count || tt.got.Sum.Round(time.Millisecond) != tt.sum {
				t.Errorf("%s: %d with %v together; want %d and %v", tt.what, tt.got.Count(), tt.got.Sum, tt.count, tt.sum)
			}
		}
	})
}

// charging is an engine that says what it compiles.
type charging struct{ native.Engine }

func (e charging) Load(ctx context.Context, src executor.Source) (executor.Module, error) {
	time.Sleep(2 * time.Second)
	if _, err := src.Read(); err == nil {
		src.Charge(executor.Bill{CPU: time.Second})
	}
	return e.Engine.Load(ctx, src)
}

func TestTimesOfCompilation(t *testing.T) {
	serveOver(t, link.QUIC, host.Config{Engine: charging{echoEngine}}, []string{"ann"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		ask(t, conns[0], put(wasm), true)
		if c := h.Times().Compile; c.Count() != 1 || c.Sum.Round(time.Second) != 2*time.Second {
			t.Errorf("%d compilations with %v together; want one of 2 s", c.Count(), c.Sum)
		}
		if cpu := h.Bill().CPU; cpu != time.Second {
			t.Errorf("the tenant was charged %v, want what compiling cost", cpu)
		}
	})
}
