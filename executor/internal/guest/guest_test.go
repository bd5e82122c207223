package guest_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/guest"
	"github.com/bungee-xr/bungee/executor/internal/guest/guesttest"
	"github.com/bungee-xr/bungee/internal/abi"
)

func TestGuestAnswers(t *testing.T) {
	small := executor.Limits{Output: 4}
	memory := []byte("\x00good\x01\x02bad\x04one more")
	tests := []struct {
		why     string
		reply   uint64
		want    error
		payload string
		sound   bool // the instance may be used further
	}{
		{"status and payload", guesttest.Reply(0, 5), nil, "good", true},
		{"a result of no bytes", guesttest.Reply(0, 1), nil, "", true},
		{"an error of the function breaks nothing", guesttest.Reply(5, 1), nil, "", true},
		{"after a panic the instance is unsound", guesttest.Reply(6, 4), nil, "bad", false},
		{"no status", 0, executor.ErrABI, "", false},
		{"a status that is none", guesttest.Reply(10, 1), executor.ErrABI, "", false},
		{"one more than the limit", guesttest.Reply(0, 6), executor.ErrTooLarge, "", true},
		{"an error of more than the limit", guesttest.Reply(5, 6), executor.ErrTooLarge, "", true},
		{"a panic of more than the limit", guesttest.Reply(6, 8), nil, "bad\x04one", false},
		{"a status that is none, and more than the limit", guesttest.Reply(10, 6), executor.ErrABI, "", false},
		{"past the end by one", guesttest.Reply(17, 3), executor.ErrABI, "", false},
		{"at the end, of no bytes", guesttest.Reply(19, 0), executor.ErrABI, "", false},
		{"length 2^32-1", guesttest.Reply(0, math.MaxUint32), executor.ErrABI, "", false},
		{"pointer and length overflow", math.MaxUint64, executor.ErrABI, "", false},
	}
	for _, tt := range tests {
		f := &guesttest.Raw{Memory: memory, OnBuf: func(uint32) (uint32, error) { return 0, nil },
			OnInvoke: func(uint32, uint32, uint32) (uint64, error) { return tt.reply, nil }}
		in := guesttest.Start(t, f, executor.InstanceConfig{Limits: small}, guest.Need{})
		r, err := in.Call(t.Context(), 0, nil)
		if !errors.Is(err, tt.want) || string(r.Payload) != tt.payload {
			t.Errorf("reply %#x: got %q, %v; want %q, %v: %s", tt.reply, r.Payload, err, tt.payload, tt.want, tt.why)
		}
		_, err = in.Call(t.Context(), 0, nil)
		if sound := !errors.Is(err, executor.ErrDiscarded); sound != tt.sound {
			t.Errorf("reply %#x: the next call gave %v; want one that works: %t: %s", tt.reply, err, tt.sound, tt.why)
		}
	}
}

func TestGuestBuffers(t *testing.T) {
	trap := errors.New("trap")
	tests := []struct {
		why  string
		ptr  uint32
		err  error
		want error
	}{
		{"refused", 0, nil, executor.ErrNotStarted},
		{"refused", 0, nil, executor.ErrTooLarge},
		{"outside", 100, nil, executor.ErrABI},
		{"across the end", 98, nil, executor.ErrABI},
		{"overflow", math.MaxUint32, nil, executor.ErrABI},
		{"a trap", 0, trap, trap},
		{"just inside", 96, nil, nil},
	}
	for _, tt := range tests {
		f := &guesttest.Raw{Memory: make([]byte, 100), OnBuf: func(uint32) (uint32, error) { return tt.ptr, tt.err },
			OnInvoke: func(uint32, uint32, uint32) (uint64, error) { return guesttest.Reply(0, 1), nil }}
		in := guesttest.Start(t, f, executor.InstanceConfig{}, guest.Need{})
		if _, err := in.Call(t.Context(), 0, []byte("four")); !errors.Is(err, tt.want) {
			t.Errorf("buffer at %d of 100: got %v, want %v: %s", tt.ptr, err, tt.want, tt.why)
		}
	}
}

// A request of no bytes needs no buffer, whatever the guest answers: docs/abi.md.
func TestGuestBufferOfNothing(t *testing.T) {
	for _, ptr := range []uint32{0, 100, 101, math.MaxUint32} {
		f := &guesttest.Raw{Memory: make([]byte, 100), OnBuf: func(uint32) (uint32, error) { return ptr, nil },
			OnInvoke: func(_, _, n uint32) (uint64, error) { return guesttest.Reply(0, 1+n), nil }}
		in := guesttest.Start(t, f, executor.InstanceConfig{}, guest.Need{})
		for range 2 {
			if r, err := in.Call(t.Context(), 0, nil); err != nil || len(r.Payload) != 0 {
				t.Errorf("buffer of 0 bytes at %#x of 100: got %q, %v; want an empty reply", ptr, r.Payload, err)
			}
		}
	}
}

func TestGuestOfAnotherVersion(t *testing.T) {
	closed := 0
	nothing := func(context.Context, executor.Memory, []uint64) error { return nil }
	cfg := executor.InstanceConfig{Host: []executor.HostFuncs{{Name: "x", New: func() ([]executor.HostFunc, func()) {
		return []executor.HostFunc{{Name: "f", Call: nothing}}, func() { closed++ }
	}}}}
	link, err := guest.NewLinkage(cfg, guest.Need{Imports: []guest.FuncType{{Module: "x", Name: "f"}}})
	if err != nil {
		t.Fatal(err)
	}
	f := &guesttest.Raw{Version: 1}
	if _, err := guest.New(t.Context(), f, link); !errors.Is(err, executor.ErrABI) {
		t.Errorf("got %v, want %v", err, executor.ErrABI)
	}
	if f.Closed != 1 || closed != 1 {
		t.Errorf("instance closed %d times, its host functions %d times; want once", f.Closed, closed)
	}
}

func TestGuestFuel(t *testing.T) {
	tests := []struct {
		name    string
		limit   uint64
		rate    uint64
		metered bool
		want    []uint64 // budgets of calls that use 300 each, in one moment
	}{
		{"NoBound", 0, 0, true, []uint64{0, 0}},
		{"Limit", 500, 0, true, []uint64{500, 500}},
		{"Rate", 0, 1000, true, []uint64{1000, 700, 400, 100}},
		{"TheLess", 500, 1000, true, []uint64{500, 500, 400, 100}},
		{"NotMetered", 0, 1000, false, []uint64{0, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tenant := executor.NewTenant("acme", capability.Quota{FuelPerSecond: tt.rate})
				f := &guesttest.Raw{}
				cfg := executor.InstanceConfig{Tenant: tenant, Limits: executor.Limits{Fuel: tt.limit}}
				in := guesttest.Start(t, f, cfg, guest.Need{Metered: tt.metered})
				f.Usage = guest.Usage{Fuel: 300} // of each call; the start took none
				account := &executor.Account{Tenant: tenant}
				for k, want := range tt.want {
					if _, err := in.Call(t.Context(), 0, nil); err != nil {
						t.Fatal(err)
					}
					if f.Budget != want {
						t.Errorf("call %d: got a budget of %d, want %d", k, f.Budget, want)
					}
					account.Charge(in.Last())
				}
			})
		})
	}
}

func TestGuestTellsItsContext(t *testing.T) {
	f := &guesttest.Raw{}
	link, err := guest.NewLinkage(executor.InstanceConfig{}, guest.Need{})
	if err != nil {
		t.Fatal(err)
	}
	in, err := guest.New(t.Context(), f, link)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "mine")
	f.OnInvoke = func(_, ptr, n uint32) (uint64, error) {
		if link.Context() != ctx || f.Ctx != ctx {
			t.Error("the guest runs in another context than its call's")
		}
		return guesttest.Reply(0, 1), nil
	}
	if _, err := in.Call(ctx, 0, nil); err != nil {
		t.Fatal(err)
	}
	if link.Context() != nil {
		t.Error("the linkage keeps the context of a call that has ended")
	}
}

// Whatever a guest answers, the host gets an error or bytes of the guest's memory.
func FuzzGuest(f *testing.F) {
	f.Add([]byte("\x00good"), uint32(1), guesttest.Reply(0, 5), []byte("in"), 10)
	f.Add([]byte("\x02bad"), uint32(0), guesttest.Reply(0, 4), []byte{}, 0)
	f.Add([]byte{}, uint32(math.MaxUint32), uint64(math.MaxUint64), []byte("request"), 1)
	f.Add([]byte{9}, uint32(0), guesttest.Reply(0, 1), []byte{}, 1)
	f.Fuzz(func(t *testing.T, memory []byte, ptr uint32, answer uint64, request []byte, output int) {
		raw := &guesttest.Raw{Memory: memory, OnBuf: func(uint32) (uint32, error) { return ptr, nil },
			OnInvoke: func(uint32, uint32, uint32) (uint64, error) { return answer, nil }}
		in := guesttest.Start(t, raw, executor.InstanceConfig{Limits: executor.Limits{Output: output}}, guest.Need{})
		r, err := in.Call(t.Context(), 0, request)
		if err != nil {
			if !errors.Is(err, executor.ErrABI) && !errors.Is(err, executor.ErrNotStarted) && !errors.Is(err, executor.ErrTooLarge) {
				t.Errorf("got %v, want one that is %v, %v or %v", err, executor.ErrABI, executor.ErrNotStarted, executor.ErrTooLarge)
			}
			return
		}
		at, n := abi.SplitReply(answer)
		want, ok := raw.Bytes(at, n)
		if !ok || len(want) == 0 || r.Status != abi.Status(want[0]) || !bytes.HasPrefix(want[1:], r.Payload) {
			t.Errorf("reply %#x of %d bytes of memory: got %d, %q", answer, len(memory), r.Status, r.Payload)
		}
		if output > 0 && len(r.Payload) > output && r.Status != abi.Panic {
			t.Errorf("got %d bytes; the limit is %d", len(r.Payload), output)
		}
	})
}
