package host_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/executor/wazero"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/lease"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// inWasmLand runs f with a host whose engine runs Wasm.
func inWasmLand(t *testing.T, f func(t *testing.T, w *land, b *boss)) {
	inLandOf(t, func(cfg *host.Config) {
		engine, err := wazero.New(wazero.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { engine.Close() })
		cfg.Engine = engine
	}, func(t *testing.T, w *land) { f(t, w, w.manage(managerAddr, 1, nil).met()) })
}

// comes has a UE come with a lease of wasm that allows an instance so much memory, and bring it.
func (b *boss) comes(ue string, wasm []byte, memory int64) (*link.Conn, lease.Lease) {
	b.w.t.Helper()
	l, token := b.lease(ue, func(l *lease.Lease) { l.Module, l.Limits.Memory = sha256.Sum256(wasm), memory })
	c, err := b.w.ue(ue, token)
	if err != nil {
		b.w.t.Fatal(err)
	}
	if a := ask(b.w.t, c, put(wasm), true); wire.Type(a[0]) != wire.TypeLoaded {
		b.w.t.Fatalf("put is answered with %q", a)
	}
	return c, l
}

// grow calls a function of the guest hungry that asks for so many pages beside its first, and traps where it gets none.
func grow(t *testing.T, c *link.Conn, wasm []byte, pages uint32) error {
	t.Helper()
	b := wire.AppendCall(nil, wire.Call{Module: sha256.Sum256(wasm), Size: 4})
	return failedWith(t, ask(t, c, binary.LittleEndian.AppendUint32(b, pages), true))
}

// failedWith returns the Fail that a host has answered with, or nil.
func failedWith(t *testing.T, answer []byte) error {
	t.Helper()
	if len(answer) > 0 && wire.Type(answer[0]) != wire.TypeFail {
		return nil
	}
	return failOf(t, answer)
}

// haltOf returns the Fail that a message is answered with, or nil.
func haltOf(t *testing.T, st link.Stream, payload []byte) error {
	t.Helper()
	st.Write(append(wire.AppendMessage(nil, wire.Message{Epoch: 1, Seq: 1, Size: len(payload)}), payload...))
	switch typ, err := wire.ReadType(st); {
	case err != nil:
		t.Fatal(err)
	case typ == wire.TypeHalt:
		h, err := wire.ReadHalt(st)
		if err != nil {
			t.Fatal(err)
		}
		return &h.Fail
	}
	return nil
}

// An instance that runs for a lease's UE has no more memory than the lease allows. Neighbours have what theirs allow.
func TestLeaseLimitsMemory(t *testing.T) {
	const page, most = 64 << 10, 16
	wasm := enginetest.Guest(t, "hungry")
	words := fmt.Sprintf("the lease limits memory to %d bytes", most*page)
	inWasmLand(t, func(t *testing.T, w *land, b *boss) {
		poor, l := b.comes("headset", wasm, most*page)
		rich, _ := b.comes("headset", wasm, 0)
		for range 2 { // each in an instance that has not grown, or is as large as it may be
			if err := grow(t, poor, wasm, most); !refusedAs(err, offload.CodeOutOfMemory, words) {
				t.Errorf("a call that needs a page more than its lease allows: %v", err)
			}
			if err := grow(t, poor, wasm, most-1); err != nil {
				t.Errorf("a call that needs what its lease allows: %v", err)
			}
			if err := grow(t, rich, wasm, 20); err != nil { // and so its instance is not for the other one
				t.Errorf("a call of a neighbour: %v", err)
			}
			b.order(wire.Order{Kind: wire.OrderLimit, ID: l.ID, Limits: wire.Limits{Memory: 3 * most * page}})
			if err := grow(t, poor, wasm, 20); err != nil {
				t.Errorf("once its lease allows more: %v", err)
			}
			b.order(wire.Order{Kind: wire.OrderLimit, ID: l.ID, Limits: wire.Limits{Memory: most * page}})
		}
	})
}

// So it is with the instance of a channel.
func TestLeaseLimitsMemoryOfChannels(t *testing.T) {
	const page, most = 64 << 10, 16
	wasm := enginetest.Guest(t, "hungry")
	inWasmLand(t, func(t *testing.T, w *land, b *boss) {
		for i, tt := range []struct {
			memory int64
			code   offload.Code
		}{{most * page, offload.CodeOutOfMemory}, {0, 0}} {
			c, _ := b.comes("headset", wasm, tt.memory)
			st, fail := attachTo(t, c, uint64(i+1), wasm)
			if fail != nil {
				t.Fatal(fail)
			}
			err := haltOf(t, st, binary.LittleEndian.AppendUint32(nil, 2*most))
			if tt.code == 0 && err != nil || tt.code != 0 && !refusedAs(err, tt.code, fmt.Sprint("lease limits memory to ", tt.memory)) {
				t.Errorf("a message whose handling needs more than %d bytes, 0 for any: %v, want code %v", tt.memory, err, tt.code)
			}
		}
	})
}

// Whoever places a UE hears that its module does not fit into what the lease allows, and so does a UE that comes nevertheless.
func TestLeaseTooSmallForItsModule(t *testing.T) {
	wasm := enginetest.Guest(t, "basic") // begins with two pages
	const words = "the lease limits memory to 65536 bytes"
	inWasmLand(t, func(t *testing.T, w *land, b *boss) {
		b.comes("headset", wasm, 0)
		c, _ := b.comes("headset", wasm, 64<<10)
		if err := failedWith(t, ask(t, c, call(wasm), true)); !refusedAs(err, offload.CodeDenied, words) {
			t.Errorf("a call: %v", err)
		}
		if _, fail := attachTo(t, c, 1, wasm); fail == nil || !refusedAs(fail, offload.CodeDenied, words) {
			t.Errorf("a channel: %v", fail)
		}
		_, token := b.lease("headset", func(l *lease.Lease) { l.Module, l.Limits.Memory = sha256.Sum256(wasm), 64<<10 })
		if did := b.order(wire.Order{Kind: wire.OrderPrepare, Lease: token}); !did.Failed || did.Code != offload.CodeDenied {
			t.Errorf("the manager is told %+v", did)
		}
	})
}

// Leases with as many limits as a UE likes leave few instances behind.
func TestLimitsOfManyLeases(t *testing.T) {
	wasm := enginetest.Guest(t, "hungry")
	inWasmLand(t, func(t *testing.T, w *land, b *boss) {
		for i := range int64(40) {
			c, _ := b.comes("headset", wasm, (10+i)<<16)
			if err := grow(t, c, wasm, 1); err != nil {
				t.Errorf("lease %d: %v", i, err)
			}
		}
		if n := w.h.Tenants()[0].Holding.Instances; n > 9 {
			t.Errorf("the tenant has %d instances, want 9 at most: one as granted, and 8 with limits of leases", n)
		}
	})
}
