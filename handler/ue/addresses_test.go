package ue_test

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/identity"
)

// A forgetful cache makes each handshake a whole one.
type forgetful struct{}

func (forgetful) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
func (forgetful) Put(string, *tls.ClientSessionState)        {}

// The first address of a host is dead. The next one is tried beside it 250 ms later, and
// first as long as the UE is on this network.
func TestDeadAddress(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := doubler("two addresses", true, double)
		w.engine.set(f.Serve, nil)
		w.startHost(nil)
		begin := time.Now()
		conf := mustTLS(t, w.ca, identity.UE)
		conf.ClientSessionCache = forgetful{}
		h := w.startUEWith(ue.Config{TLS: conf, Edge: "[2001:db8::dead]:4433," + hostAddr.String(), Policy: policy.Always(policy.OnEdge)})
		w.ready(h, &f.Desc)
		if took := time.Since(begin); took < 250*time.Millisecond || took > 350*time.Millisecond {
			t.Errorf("ready after %v, want 250 ms and some round trips", took)
		}
		w.stopHost()
		time.Sleep(2 * oneWay) // the UE hears of it
		w.startHost(nil)
		begin = time.Now()
		w.ready(h, &f.Desc)
		if took := time.Since(begin); took > 250*time.Millisecond {
			t.Errorf("again ready after %v, want the address that worked first", took)
		}
		if got, err := f.Call(t.Context(), 2); got != 4 || err != nil || h.Stats().Edge != 1 {
			t.Errorf("a call gave %d, %v; %+v", got, err, h.Stats())
		}
	})
}
