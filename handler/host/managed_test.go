package host_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/lease"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A host tells its manager what it is, and what it does.
func TestManagedHostRegisters(t *testing.T) {
	inLand(t, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 1, nil)
		r := hear[wire.Register](b)
		if !slices.Equal(r.Addresses, []string{edgeAddr.String()}) || r.Turns != 2 || r.Memory == 0 || !slices.Equal(r.Labels, []string{"gpu=no"}) {
			t.Errorf("it registers as %+v", r)
		}
		b.met()
		l, token := b.lease("headset", nil)
		if did := b.order(wire.Order{Kind: wire.OrderPrepare, Lease: token}); did.Failed {
			t.Fatalf("prepare: %+v", did)
		}
		if s := b.nextBeat().Sessions; len(s) != 1 || s[0].Lease != l.ID || s[0].Used {
			t.Errorf("before the UE comes, the beat has sessions %+v", s)
		}
		c, err := w.ue("headset", token)
		if err != nil || !works(t, c) {
			t.Fatalf("a UE with a lease is not served: %v", err)
		}
		first := b.nextBeat()
		if s := first.Sessions; len(s) != 1 || !s[0].Used || s[0].Calls != 1 {
			t.Errorf("once it has called, the beat has sessions %+v", s)
		}
		m := first.Modules
		if len(m) != 1 || m[0].Module != l.Module || m[0].State != wire.ModuleCompiled || m[0].Calls != 1 {
			t.Errorf("once it has called, the beat has modules %+v", m)
		}
		if second := b.nextBeat(); second.Number != first.Number+1 {
			t.Errorf("beat %d follows beat %d", second.Number, first.Number)
		}
	})
}

// Who comes without a lease that counts may measure the way, and nothing else.
func TestLeaseIsNeeded(t *testing.T) {
	inLand(t, func(t *testing.T, w *land) {
		if err := func() error { _, err := w.ue("early", []byte("v4.public.AAAA")); return err }(); !refusedAs(err, offload.CodeDenied, "not met its manager") {
			t.Errorf("before there is a manager: %v", err)
		}
		b := w.manage(managerAddr, 2, nil).met()
		token := func(change func(*lease.Lease)) []byte { _, token := b.lease("headset", change); return token }
		forged := *b
		forged.signer, _ = lease.NewSigner(ed25519.NewKeyFromSeed(make([]byte, 32)), w.ca.Name())
		_, byAnother := forged.lease("headset", nil)
		tests := []struct {
			name  string
			token []byte
			says  string
		}{
			{"none", nil, "say Hello with a lease"},
			{"no token", []byte("lease"), "no lease of this manager"},
			{"another UE's", func() []byte { _, token := b.lease("other", nil); return token }(), "another UE's"},
			{"another tenant's", token(func(l *lease.Lease) { l.UE = strings.Replace(l.UE, "tenant/headset", "tenant/acme", 1) }), "another UE's"},
			{"another host's", token(func(l *lease.Lease) { l.Host += "2" }), "another host"},
			{"of a run that does not count", token(func(l *lease.Lease) { l.Run = wire.Run{99} }), "a run of the manager"},
			{"by another key", byAnother, "key"},
			{"expired", token(func(l *lease.Lease) { *l = lease.New(*l, l.ID, b.now().Add(-2*time.Minute)) }), "not of this time"},
			{"of an hour later", token(func(l *lease.Lease) { *l = lease.New(*l, l.ID, b.now().Add(time.Hour)) }), "not of this time"},
		}
		for _, tt := range tests {
			c, err := w.ue("headset", tt.token)
			if !refusedAs(err, offload.CodeDenied, tt.says) {
				t.Errorf("%s: %v, want it denied: %s", tt.name, err, tt.says)
			}
			st, err := c.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := control.Ping(t.Context(), st); err != nil {
				t.Errorf("%s: ping: %v", tt.name, err)
			}
			begin := time.Now()
			wantFail(t, tt.name+": call", ask(t, c, call(wasm), true), offload.CodeDenied)
			wantFail(t, tt.name+": put", ask(t, c, put(wasm), true), offload.CodeDenied)
			if took := time.Since(begin); took > time.Second {
				t.Errorf("%s: denied after %v", tt.name, took)
			}
			c.Close("")
		}
		if s := b.nextBeat().Sessions; len(s) != 0 { // a stolen token does not spend its owner's time
			t.Errorf("the host holds %+v", s)
		}
		c := w.connect("silent")
		wantFail(t, "a call without a hello", ask(t, c, call(wasm), true), offload.CodeDenied)
	})
}

// Who has no lease measures the way, and does not keep the host busy by it.
func TestPingsAreBounded(t *testing.T) {
	inLand(t, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 1, nil).met()
		c := w.connect("headset")
		pings := func(n int) (answered int) {
			for range n {
				st, err := c.Open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := control.Ping(t.Context(), st); err == nil {
					answered++
				} else if !refusedAs(err, offload.CodeOverloaded, "pings") {
					t.Fatal(err)
				}
			}
			return answered
		}
		if n := pings(5); n != 5 {
			t.Errorf("%d of 5 pings are answered", n)
		}
		if n := pings(200); n > 20 {
			t.Errorf("%d of 200 more pings are answered", n)
		}
		_, token := b.lease("headset", nil)
		if err := hello(t, c, token); err != nil {
			t.Fatal(err)
		}
		if n := pings(100); n != 100 {
			t.Errorf("with a lease %d of 100 pings are answered", n)
		}
	})
}

// A lease is for one module.
func TestLeaseIsForItsModule(t *testing.T) {
	inLand(t, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 1, nil).met()
		_, token := b.lease("headset", nil)
		c, err := w.ue("headset", token)
		if err != nil || !works(t, c) {
			t.Fatalf("its own module: %v", err)
		}
		other := module(3)
		have := wire.AppendControl(nil, wire.TypeHave, wire.Have{Digest: sha256.Sum256(other)})
		attach := wire.AppendAttach(nil, wire.Attach{ID: 1, Module: sha256.Sum256(other), Window: 1})
		for name, request := range map[string][]byte{"have": have, "put": put(other), "call": call(other), "attach": attach} {
			wantFail(t, name+" of another module", ask(t, c, request, true), offload.CodeDenied)
		}
	})
}

// A UE may ask for its module beside its hello: that waits for the lease.
func TestHaveBesideHello(t *testing.T) {
	inLand(t, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 1, nil).met()
		_, token := b.lease("headset", nil)
		c := w.connect("headset")
		answer := make(chan []byte, 1)
		go func() {
			answer <- ask(t, c, wire.AppendControl(nil, wire.TypeHave, wire.Have{Digest: sha256.Sum256(wasm)}), true)
		}()
		time.Sleep(500 * time.Millisecond)
		if err := hello(t, c, token); err != nil {
			t.Fatal(err)
		}
		if b := <-answer; wire.Type(b[0]) != wire.TypeLoaded {
			t.Errorf("have beside hello is answered with %x", b)
		}
	})
}

// What a host enforces by time: the first use, the absence of a UE, a stop.
func TestLeasesEnd(t *testing.T) {
	tests := []struct {
		name string
		run  func(w *land, b *boss, l lease.Lease, token []byte)
	}{
		{"nobody comes for 15 s", func(w *land, b *boss, _ lease.Lease, _ []byte) {
			b.order(wire.Order{Kind: wire.OrderPrepare, Lease: func() []byte { _, t := b.lease("headset", nil); return t }()})
			time.Sleep(17 * time.Second)
			if s := b.nextBeat().Sessions; len(s) != 0 {
				w.t.Errorf("the host still holds %+v", s)
			}
		}},
		{"its UE is away for 50 s, long after its token has ended", func(w *land, b *boss, _ lease.Lease, token []byte) {
			c, _ := w.ue("headset", token)
			time.Sleep(time.Hour)
			c.Close("")
			time.Sleep(50 * time.Second)
			if c, err := w.ue("headset", token); err != nil || !works(w.t, c) {
				w.t.Errorf("it is not served when it comes back: %v", err)
			}
		}},
		{"its UE is away for 62 s", func(w *land, b *boss, _ lease.Lease, token []byte) {
			c, _ := w.ue("headset", token)
			time.Sleep(time.Hour)
			c.Close("")
			time.Sleep(62 * time.Second)
			if _, err := w.ue("headset", token); !refusedAs(err, offload.CodeDenied, "has ended") {
				w.t.Errorf("it comes back to %v", err)
			}
		}},
		{"it is stopped", func(w *land, b *boss, l lease.Lease, token []byte) {
			c, _ := w.ue("headset", token)
			b.order(wire.Order{Kind: wire.OrderStop, ID: l.ID, By: 5 * time.Second})
			time.Sleep(4 * time.Second)
			if !works(w.t, c) {
				w.t.Error("it ends before its time")
			}
			time.Sleep(2500 * time.Millisecond)
			if c.Err() == nil {
				w.t.Error("its connection goes on")
			}
			if _, err := w.ue("headset", token); !refusedAs(err, offload.CodeDenied, "has ended") {
				w.t.Errorf("it comes back to %v", err)
			}
			if did := b.order(wire.Order{Kind: wire.OrderStop, ID: l.ID}); did.Failed {
				w.t.Errorf("to stop it again fails: %+v", did)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inLand(t, func(t *testing.T, w *land) {
				b := w.manage(managerAddr, 1, nil).met()
				l, token := b.lease("headset", nil)
				tt.run(w, b, l, token)
			})
		})
	}
}

// A lease allows so many calls a second, and the manager changes that.
func TestLeaseLimits(t *testing.T) {
	inLand(t, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 1, nil).met()
		l, token := b.lease("headset", func(l *lease.Lease) { l.Limits.Rate = 2 })
		c, err := w.ue("headset", token)
		if err != nil {
			t.Fatal(err)
		}
		ask(t, c, put(wasm), true)
		ask(t, c, call(wasm), true)
		ask(t, c, call(wasm), true)
		wantFail(t, "a third call in a second", ask(t, c, call(wasm), true), offload.CodeOverloaded)
		b.order(wire.Order{Kind: wire.OrderLimit, ID: l.ID, Limits: wire.Limits{Rate: 1000}})
		time.Sleep(time.Second)
		for range 100 {
			if !works(t, c) {
				t.Fatal("a call within the new limit is refused")
			}
		}
		if did := b.order(wire.Order{Kind: wire.OrderLimit, ID: lease.ID{99}}); !did.Failed || did.Code != offload.CodeDenied {
			t.Errorf("a limit of no lease: %+v", did)
		}
	})
}

// A revoked UE is gone within seconds, and does not come back.
func TestManagerRevokes(t *testing.T) {
	inLand(t, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 1, nil).met()
		_, token := b.lease("headset", nil)
		_, theirs := b.lease("other", nil)
		c, _ := w.ue("headset", token)
		other, err := w.ue("other", theirs)
		if err != nil {
			t.Fatal(err)
		}
		b.order(wire.Order{Kind: wire.OrderRevoke, Who: ueID(w, "headset").String()})
		time.Sleep(2 * time.Second)
		if err := c.Err(); !errors.Is(err, link.ErrIdentity) {
			t.Errorf("its connection ended with %v, want %v", err, link.ErrIdentity)
		}
		if !works(t, other) {
			t.Error("another UE suffers")
		}
		again := w.connect("headset")
		time.Sleep(time.Second)
		if err := again.Err(); !errors.Is(err, link.ErrIdentity) {
			t.Errorf("it comes back: %v", err)
		}
		_, fresh := b.lease("headset", nil)
		if did := b.order(wire.Order{Kind: wire.OrderPrepare, Lease: fresh}); !did.Failed || did.Code != offload.CodeDenied {
			t.Errorf("a lease for it: %+v", did)
		}
		// The next list of the manager is the whole one.
		b.out = []string{ueID(w, "other").String()}
		b.adopt()
		time.Sleep(2 * time.Second)
		if other.Err() == nil {
			t.Error("whom the list names stays")
		}
		if again := w.connect("headset"); again.Err() != nil || hello(t, again, fresh) != nil {
			t.Error("who is not in the list any more is refused")
		}
	})
}

// A host that its manager drains takes nobody new, and asks its UEs to go.
func TestManagerDrains(t *testing.T) {
	inLand(t, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 1, nil).met()
		_, token := b.lease("headset", nil)
		c := w.connect("headset")
		st, err := c.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := control.Hello(t.Context(), st, wire.Hello{Session: 5, Extensions: wire.Extensions{}.Append(wire.ExtensionLease, token)}); err != nil {
			t.Fatal(err)
		}
		if did := b.order(wire.Order{Kind: wire.OrderDrain}); did.Failed {
			t.Errorf("drain: %+v", did)
		}
		if reason, err := control.AwaitGoAway(st); err != nil || !strings.Contains(reason, "drains") {
			t.Errorf("the UE is told %q, %v", reason, err)
		}
		if !works(t, c) {
			t.Error("a UE that has not gone yet is not served")
		}
		_, fresh := b.lease("other", nil)
		if _, err := w.ue("other", fresh); !refusedAs(err, offload.CodeDraining, "") {
			t.Errorf("a UE that comes nevertheless: %v, want %v", err, offload.CodeDraining)
		}
		if did := b.order(wire.Order{Kind: wire.OrderPrepare, Lease: fresh}); did.Failed {
			t.Errorf("when the manager sends UEs again: %+v", did)
		}
		if other, err := w.ue("other", fresh); err != nil || !works(t, other) {
			t.Errorf("a UE that it sends: %v", err)
		}
	})
}

// Orders that are none.
func TestOrdersAreRefused(t *testing.T) {
	inLand(t, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 5, nil).met()
		tests := []struct {
			name  string
			order wire.Order
			code  offload.Code
		}{
			{"of an earlier epoch", wire.Order{Kind: wire.OrderDrain, Epoch: 4}, offload.CodeDenied},
			{"of a kind that is not known", wire.Order{Kind: 77}, offload.CodeProtocol},
			{"to prepare nonsense", wire.Order{Kind: wire.OrderPrepare, Lease: []byte("x")}, offload.CodeDenied},
			{"to probe what was never called", wire.Order{Kind: wire.OrderProbe, N: 3}, offload.CodeNoModule},
		}
		for _, tt := range tests {
			if did := b.order(tt.order); !did.Failed || did.Code != tt.code || did.Why == "" {
				t.Errorf("%s: %+v, want code %v", tt.name, did, tt.code)
			}
		}
		_, token := b.lease("headset", nil)
		if c, err := w.ue("headset", token); err != nil || !works(t, c) {
			t.Errorf("the host does not serve after these: %v", err)
		}
	})
}

// A module that the host's own policy does not list is refused, though its manager sends the UE.
func TestPolicyOfAManagedHost(t *testing.T) {
	inLand(t, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 1, nil).met()
		_, token := b.lease("headset", nil)
		w.h.SetPolicy(policy(t, "[default]\nmodules = []\n"))
		did := b.order(wire.Order{Kind: wire.OrderPrepare, Lease: token})
		if !did.Failed || did.Code != offload.CodeDenied || !strings.Contains(did.Why, "edge.toml:2 decides") {
			t.Errorf("the manager is told %+v; want the refusal", did)
		}
		w.h.SetPolicy(policy(t, "[default]\n"))
		_, token = b.lease("headset", nil)
		if c, err := w.ue("headset", token); err != nil || !works(t, c) {
			t.Errorf("once the policy lists it: %v", err)
		}
	})
}

// While the manager is gone, UEs stay; when it is back, in another epoch and run, it hears of them.
func TestManagerIsGone(t *testing.T) {
	inLand(t, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 1, nil).met()
		_, token := b.lease("headset", nil)
		c, err := w.ue("headset", token)
		if err != nil || !works(t, c) {
			t.Fatal(err)
		}
		b.end()
		for range 10 {
			time.Sleep(time.Minute)
			if !works(t, c) {
				t.Fatal("without its manager the host does not serve")
			}
		}
		back := w.manage(managerAddr, 2, func(next *boss) { next.runs = []wire.Run{next.run, b.run} })
		if h := hear[wire.Holding](back); len(h.Leases) != 1 || !bytes.Equal(h.Leases[0], token) {
			t.Errorf("it says that it holds %d leases", len(h.Leases))
		}
		if s := back.nextBeat().Sessions; len(s) != 1 || !s[0].Used {
			t.Errorf("its beat has sessions %+v", s)
		}
		if !works(t, c) {
			t.Error("under the next run the host does not serve who was there")
		}
		_, fresh := back.lease("other", nil)
		if c, err := w.ue("other", fresh); err != nil || !works(t, c) {
			t.Errorf("a UE of the next run: %v", err)
		}
	})
}

// Of two managers the one of the higher epoch is obeyed, and of equal ones the first.
func TestTwoManagers(t *testing.T) {
	inLand(t, func(t *testing.T, w *land) {
		first := w.manage(managerAddr, 3, nil).met()
		first.end()
		for _, other := range []uint64{2, 3} {
			second := w.manage(secondAddr, other, func(b *boss) { b.run = wire.Run{100} })
			for refused := false; !refused; { // what comes before is the host's first word
				if err := <-second.refuse; refusedAs(err, offload.CodeDenied, "obeys another manager, of epoch 3") {
					refused = true
				}
			}
			_, token := second.lease("headset", nil)
			if _, err := w.ue("headset", token); !refusedAs(err, offload.CodeDenied, "") {
				t.Errorf("a lease of a manager of epoch %d, that is not obeyed: %v", other, err)
			}
			second.end()
		}
		third := w.manage(secondAddr, 4, nil).met()
		_, token := third.lease("headset", nil)
		if c, err := w.ue("headset", token); err != nil || !works(t, c) {
			t.Errorf("a lease of a manager of epoch 4: %v", err)
		}
	})
}

// Only the manager's clock counts.
func TestClocksThatDiffer(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, -time.Hour} {
		inLand(t, func(t *testing.T, w *land) {
			b := w.manage(managerAddr, 1, func(b *boss) { b.ahead = ahead }).met()
			_, token := b.lease("headset", nil)
			time.Sleep(50 * time.Second)
			if c, err := w.ue("headset", token); err != nil || !works(t, c) {
				t.Errorf("with a clock %v ahead a good lease: %v", ahead, err)
			}
			_, late := b.lease("other", nil)
			time.Sleep(62 * time.Second)
			if _, err := w.ue("other", late); !refusedAs(err, offload.CodeDenied, "not of this time") {
				t.Errorf("with a clock %v ahead a late lease: %v", ahead, err)
			}
		})
	}
}

// A manager that is reached over TCP only is found.
func TestManagerOverTCP(t *testing.T) {
	inLand(t, func(t *testing.T, w *land) {
		ln := link.ListenTCP(w.air.Listen(tcpOf(managerAddr)), w.tls(identity.Manager, "m"), nil)
		defer ln.Close()
		conn, err := ln.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		st, err := conn.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f, err := control.Converse(st, control.FromHost).Next(); err != nil {
			t.Errorf("got %+v, %v", f, err)
		}
	})
}

// A manager that adopts nobody, or says nonsense, is given up, and the host looks on.
func TestManagerThatDoesNot(t *testing.T) {
	inLand(t, func(t *testing.T, w *land) {
		ln, err := link.Listen(w.air.Endpoint(managerAddr), w.tls(identity.Manager, "m"))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		answers := [][]byte{nil, []byte("nonsense"), wire.AppendFail(nil, wire.Fail{Code: offload.CodeOverloaded, Text: "busy"})}
		for i := range 2 * len(answers) { // a host comes again, however often
			conn, err := ln.Accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			st, err := conn.Accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			st.Write(answers[i%len(answers)])
			go io.Copy(io.Discard, st)
			<-conn.Done()
		}
	})
}

// A host that ends tells its manager by the end of the connection.
func TestShutdownLeavesManager(t *testing.T) {
	inLand(t, func(t *testing.T, w *land) {
		b := w.manage(managerAddr, 1, nil).met()
		_, token := b.lease("headset", nil)
		c, err := w.ue("headset", token)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- w.h.Shutdown(ctx) }()
		begin := time.Now()
		<-b.refuse
		if took := time.Since(begin); took > time.Second || c.Err() != nil {
			t.Errorf("the manager knows after %v; the UE's connection: %v", took, c.Err())
		}
		c.Close("")
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestManagerConfigIsChecked(t *testing.T) {
	ca, err := identity.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	conf, err := ca.TLS(identity.Host, "edge-1")
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]host.Manager{
		"no address":       {Advertise: []string{"a:1"}},
		"no port":          {Addresses: []string{"a"}},
		"no own port":      {Addresses: []string{"a:1"}, Advertise: []string{"a"}},
		"too many labels":  {Addresses: []string{"a:1"}, Advertise: []string{"a:1"}, Labels: make([]string, 99)},
		"ports backwards":  {Addresses: []string{"a:1"}, Advertise: []string{"a:1"}, Ports: host.Ports{First: 2, Last: 1}},
		"too many ports":   {Addresses: []string{"a:1"}, Advertise: []string{"a:1"}, Ports: host.Ports{First: 1, Last: 2000}},
		"a price below 0":  {Addresses: []string{"a:1"}, Advertise: []string{"a:1"}, Price: -1},
		"a long advertise": {Addresses: []string{"a:1"}, Advertise: []string{strings.Repeat("a", 999)}},
	} {
		if h, err := host.New(host.Config{Engine: echoEngine, TLS: conf, Manager: &m}); err == nil {
			h.Close()
			t.Errorf("%s: no error", name)
		}
	}
}
