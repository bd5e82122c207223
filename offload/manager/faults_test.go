package manager

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload/placement"
)

// ueID returns the ID of a UE.
func ueID(tenant, name string) identity.ID {
	return identity.ID{Authority: "bungee", Tenant: tenant, Role: identity.UE, Name: name}
}

// 10,000 UEs ask in the same instant. Each is answered; those beyond the rate are told when to come again, at different times; and
// when they have, all that may have a session have one.
func TestManyAskAtOnce(t *testing.T) {
	w := newWorld(t, 1, "edge-1")
	w.limits.asks, w.limits.perTenant, w.limits.sessions = 100, 4000, 9000
	w.anew()
	w.host("edge-1").connect()
	peers := make([]*modelPeer, 10_000)
	began := time.Now()
	ask := func(i int) {
		id := ueID(fmt.Sprint("tenant-", i%10), fmt.Sprint(i))
		w.l.ask(w.now, id, peers[i], wire.Ask{Session: 1, Need: wire.Need{Memory: 1 << 20}})
	}
	for i := range peers {
		peers[i] = &modelPeer{net: "home"}
		ask(i)
	}
	t.Logf("10,000 asks took %v", time.Since(began))
	candidates, later := 0, 0
	for i, p := range peers {
		said := p.take()
		if len(said) != 1 {
			t.Fatalf("UE %d was told %d things", i, len(said))
		}
		switch f := said[0].(type) {
		case wire.Candidates:
			candidates++
		case wire.Place:
			if f.Primary.Host != "" || f.RetryAfter <= 0 || f.Why == "" {
				t.Fatalf("UE %d was told %+v", i, f)
			}
			later++
		}
	}
	if candidates != 2000 || later != 8000 {
		t.Errorf("%d UEs were asked to measure, and %d to come again; want 2,000: what ten tenants may ask in two seconds", candidates, later)
	}
	for round := 0; round < 30; round++ {
		w.now = w.now.Add(time.Second)
		for i := range peers {
			if w.l.sessions[sessionKey{ueID(fmt.Sprint("tenant-", i%10), fmt.Sprint(i)), 1}] == nil {
				ask(i)
			}
			peers[i].take()
		}
	}
	if n := len(w.l.sessions); n != 9000 {
		t.Errorf("%d sessions; want as many as there may be", n)
	}
	for name, tenant := range w.l.tenants {
		if len(tenant.sessions) > 1000 {
			t.Errorf("tenant %s has %d sessions", name, len(tenant.sessions))
		}
	}
}

// A UE that asks for everything gets no more than its share, and what cannot be is refused for good.
func TestGreedyUE(t *testing.T) {
	w := newWorld(t, 1, names("edge", 2)...)
	p := &modelPeer{net: "home"}
	id := ueID("acme", "greedy")
	for i := range uint64(2 * maxPerUE) {
		w.l.ask(w.now, id, p, wire.Ask{Session: i, Module: [32]byte{1}, Need: wire.Need{Rate: 1e9, InFlight: 1 << 30, Memory: 1 << 40}})
	}
	for _, f := range p.take() {
		if place, ok := f.(wire.Place); !ok || place.Primary.Host != "" || place.RetryAfter != 0 {
			t.Fatalf("the UE was told %+v; want a refusal for good", f)
		}
	}
	if len(w.l.sessions) > 0 {
		t.Errorf("%d sessions are kept that can never be", len(w.l.sessions))
	}
	for i := range uint64(2 * maxPerUE) {
		w.now = w.now.Add(time.Second)
		w.l.ask(w.now, id, p, wire.Ask{Session: i, Module: [32]byte{1}})
	}
	if n := len(w.l.sessions); n != maxPerUE {
		t.Errorf("%d sessions of one UE; want %d", n, maxPerUE)
	}
	w.l.ueDown(w.now, p)
	w.run(silence + 2*time.Second)
	if len(w.l.sessions)+len(w.l.leases)+len(w.l.ues) > 0 {
		t.Errorf("%d sessions of a UE that never said Bye are kept", len(w.l.sessions))
	}
}

// A tenant's quota counts its sessions with hosts together, and another tenant's not.
func TestQuotas(t *testing.T) {
	policy, err := capability.ParsePolicy("p.toml", []byte("[default.quota]\ninstances = 4\nmodules = 1\n[default.limits]\nmemory = \"64 MiB\"\n"))
	must(t, err)
	w := newWorld(t, 1, "edge-1")
	w.policy = policy
	w.anew()
	w.host("edge-1").connect()
	for _, n := range names("ue", 2) {
		w.addUE(n)
	}
	w.run(3 * time.Second)
	for _, u := range w.ues {
		u.is(running, "edge-1")
	}
	third, other := w.addUE("ue-3"), w.addUE("ue-4")
	other.id.Tenant = "other"
	w.named[other.id] = other
	w.run(3 * time.Second)
	if third.known() != nil || !strings.Contains(third.place.Why, "would have 6 instances") {
		t.Errorf("the third UE was told %+v", third.place)
	}
	other.is(running, "edge-1")
	for name, ask := range map[string]wire.Ask{
		"would have 2 modules": {Session: 9, Module: [32]byte{2}},
		"limits.memory":        {Session: 9, Module: [32]byte{1}, Need: wire.Need{Memory: 65 << 20}},
	} {
		p := &modelPeer{}
		w.l.ask(w.now, other.id, p, ask)
		if f, ok := p.take()[0].(wire.Place); !ok || !strings.Contains(f.Why, name) {
			t.Errorf("%s: told %+v", name, f)
		}
	}
}

// A policy that grants less ends the sessions that it does not grant, and says why.
func TestEviction(t *testing.T) {
	w := newWorld(t, 1, "edge-1")
	u := w.addUE("headset")
	w.run(3 * time.Second)
	u.is(running, "edge-1")
	policy, err := capability.ParsePolicy("p.toml", []byte("[default.quota]\ninstances = 1\n"))
	must(t, err)
	w.l.setPolicy(w.now, policy)
	u.wants = false
	w.run(time.Second)
	if u.known() != nil || !strings.Contains(u.place.Why, "quota is 1") || w.l.count.Evicted != 1 {
		t.Errorf("the UE was told %+v", u.place)
	}
	if w.run(3 * time.Second); len(w.host("edge-1").table) > 0 {
		t.Error("the host still has the lease")
	}
}

// A module that the policy does not have a tenant run gets no host, until the policy does; its UE asks again by itself.
func TestModulesOfThePolicy(t *testing.T) {
	digest := fmt.Sprintf("%x", [32]byte{1}) // of the UEs' module
	policy := func(modules string) *capability.Policy {
		p, err := capability.ParsePolicy("p.toml", []byte("[default]\n[[tenant]]\nname = \"acme\"\nmodules = ["+modules+"]\n"))
		must(t, err)
		return p
	}
	w := newWorld(t, 1, "edge-1")
	w.policy = policy(`"ffffffffffffffff"`)
	w.anew()
	w.host("edge-1").connect()
	u, other := w.addUE("ue-1"), w.addUE("ue-2")
	other.id.Tenant = "other"
	w.named[other.id] = other
	refused := func(why string) {
		t.Helper()
		want := `tenant "acme" is not granted modules "` + digest + `": p.toml:4 decides; it could have modules = ["` + digest + `"]`
		if u.known() != nil || u.place.Why != want || u.place.Primary.Host != "" || u.place.RetryAfter != time.Minute {
			t.Errorf("%s: the UE was told %+v; want %s", why, u.place, want)
		}
	}
	w.run(3 * time.Second)
	refused("a module that is not granted")
	other.is(running, "edge-1")
	if all := w.heard("refused"); len(all) != 1 || !strings.Contains(all[0].why, digest) {
		t.Errorf("the audit has %+v; want one refusal with the digest", all)
	}
	w.l.setPolicy(w.now, policy(`"`+digest[:16]+`"`))
	w.run(time.Minute + 3*time.Second)
	u.is(running, "edge-1")
	w.l.setPolicy(w.now, policy(`"ffffffffffffffff"`))
	w.run(time.Second)
	refused("a session whose module is not granted any more")
	if w.l.count.Evicted != 1 {
		t.Errorf("%d sessions were ended, want 1", w.l.count.Evicted)
	}
	w.run(3 * time.Second)
	if n := len(w.host("edge-1").table); n != 1 {
		t.Errorf("the host has %d leases, want that of the other tenant", n)
	}
	other.is(running, "edge-1")
	w.l.setPolicy(w.now, policy(`"*"`))
	w.run(time.Minute)
	u.is(running, "edge-1")
}

// A manager that begins with a policy that has a module no more does not take over its sessions: their leases end, and
// their UEs are told why.
func TestPolicyChangesWhileTheManagerIsGone(t *testing.T) {
	w := newWorld(t, 1, "edge-1")
	u := w.addUE("ue-1")
	w.run(3 * time.Second)
	u.is(running, "edge-1")
	policy, err := capability.ParsePolicy("p.toml", []byte("[default]\nmodules = []\n"))
	must(t, err)
	w.policy = policy
	w.stop()
	w.run(time.Second)
	w.restart()
	w.run(20 * time.Second)
	if n := len(w.host("edge-1").table); u.known() != nil || n != 0 || !strings.Contains(u.place.Why, "p.toml:2 decides") {
		t.Errorf("the UE was told %+v, and the host has %d leases; want the refusal and none", u.place, n)
	}
}

// A session that waits for a host ends, too, when the policy has its module no more: no host may come for it.
func TestPolicyEndsWhoWaits(t *testing.T) {
	w := newWorld(t, 1)
	u := w.addUE("ue-1")
	w.run(3 * time.Second)
	if s := u.known(); s == nil || s.primary != nil {
		t.Fatalf("without a host the session is %+v; want it to wait", s)
	}
	policy, err := capability.ParsePolicy("p.toml", []byte("[default]\nmodules = []\n"))
	must(t, err)
	w.l.setPolicy(w.now, policy)
	w.addHost("edge-1")
	w.run(3 * time.Second)
	if u.known() != nil || !strings.Contains(u.place.Why, "p.toml:2 decides") {
		t.Errorf("the UE was told %+v; want the refusal", u.place)
	}
}

// What is revoked ends: a UE's sessions, here and at hosts; a host's connection, and it may not come again.
func TestRevocation(t *testing.T) {
	w := newWorld(t, 1, names("edge", 2)...)
	u := w.addUE("headset")
	w.run(3 * time.Second)
	w.l.revoke(w.now, u.id)
	told := 0
	for _, h := range w.hosts {
		for _, f := range h.peer.said {
			if o, ok := f.(wire.Order); ok && o.Kind == wire.OrderRevoke && o.Who == u.id.String() {
				told++
			}
		}
	}
	if told != 2 {
		t.Errorf("%d hosts were told", told)
	}
	w.run(time.Second)
	if u.known() != nil || !strings.Contains(u.place.Why, "revoked") {
		t.Errorf("the UE has %+v and was told %+v", u.known(), u.place)
	}
	bad := w.host("edge-1")
	w.l.revoke(w.now, bad.id)
	w.run(5 * time.Second)
	if h, _ := w.l.registry.Host("edge-1"); h.State != placement.Silent {
		t.Errorf("a revoked host is %s", h.State)
	}
}

// A host whose calls take longer than it says is believed no longer once three UEs have felt it.
func TestHostThatLies(t *testing.T) {
	w := newWorld(t, 1, names("edge", 2)...)
	liar := w.host("edge-1")
	w.host("edge-2").rtt = 15 * time.Millisecond
	for _, n := range names("ue", 4) {
		w.addUE(n)
	}
	w.run(3 * time.Second)
	for _, u := range w.ues {
		u.is(running, "edge-1")
	}
	liar.felt = 60 * time.Millisecond
	w.run(30 * time.Second)
	for _, u := range w.ues {
		u.is(running, "edge-2")
	}
	late := w.addUE("ue-9")
	w.run(3 * time.Second)
	late.is(running, "edge-2")
}

// A host that claims more turns than any has is taken for one of few, and numbers that are none do no harm.
func TestHostThatBoasts(t *testing.T) {
	w := newWorld(t, 1)
	h := w.addHost("edge-1")
	h.register.Turns, h.register.Memory = 1<<31-1, 1<<62
	h.connect()
	w.l.hostBeat(w.now, "edge-1", h.peer, wire.Beat{Number: 1, Turns: 1 << 30, Held: 1 << 62, Modules: []wire.ModuleBeat{
		{Module: [32]byte{1}, Calls: 1 << 63, R: 1, S: 1 << 62}, {Module: [32]byte{1}, Calls: 1, R: 1 << 62, S: 1 << 62},
	}})
	u := w.addUE("headset")
	w.run(5 * time.Second)
	u.is(running, "edge-1")
	if x, _ := w.l.snapshot.Host("edge-1"); x.Turns > maxHostTurns {
		t.Errorf("the host counts as one of %v turns", x.Turns)
	}
}

// A host that shows leases which it was never given is told to end them, within bounds, and a host that answers nothing is let go.
func TestHostThatInvents(t *testing.T) {
	w := newWorld(t, 1, "edge-1")
	h := w.host("edge-1")
	h.deaf = true
	for i := range 3 {
		f := wire.Beat{Number: uint64(i)}
		for j := range wire.MaxJoined {
			f.Sessions = append(f.Sessions, wire.SessionBeat{Lease: wire.LeaseID{byte(i), byte(j), byte(j >> 8)}, Used: true})
		}
		w.l.hostBeat(w.now, "edge-1", h.peer, f)
	}
	if n := len(w.l.hosts["edge-1"].orders); n > maxOrders {
		t.Errorf("%d orders wait", n)
	}
	if h.peer.ended == nil || len(w.l.leases)+len(w.l.sessions) > 0 {
		t.Errorf("the host is kept, and %d leases with it", len(w.l.leases))
	}
}

// A host that takes orders and does not do them is left for another; what it does late is undone.
func TestHostThatIsDeaf(t *testing.T) {
	w := newWorld(t, 1, names("edge", 2)...)
	w.host("edge-2").rtt = 10 * time.Millisecond
	u := w.addUE("headset")
	w.host("edge-1").deaf = true
	w.run(10 * time.Second)
	u.is(running, "edge-2")
	if w.l.count.OrdersLate == 0 {
		t.Error("no order was late")
	}
}

// A UE's host is lost to it alone: it says from where it is served, and the manager follows.
func TestUEIsOnItsStandby(t *testing.T) {
	w := newWorld(t, 1, names("edge", 2)...)
	u := w.addUE("headset")
	w.run(15 * time.Second)
	s := u.known()
	from, to := hostOf(s.primary), hostOf(s.standby)
	delete(u.attach, from)
	u.far[from] = true
	w.l.feel(w.now, u.id, u.peer, wire.Feel{Session: u.session, Round: u.round, Calls: []wire.CallsFeel{{Host: to, N: 30, P50: 7 * time.Millisecond, P99: 12 * time.Millisecond}}})
	if hostOf(s.primary) != to || len(w.heard("is on its standby")) != 1 {
		t.Errorf("the session is at %s; the UE at %s", hostOf(s.primary), to)
	}
}

// Leases that are not ours are refused: of another authority's key, of another run, for another host, cut off, changed. One that is
// shown twice counts once, and one whose time is over counts, since the host has held it from before.
func TestLeasesThatHostsShow(t *testing.T) {
	s := openTestStore(t, t.TempDir()+"/store")
	run, err := s.begin(epoch)
	must(t, err)
	sign, read, err := leasesOf(run, "bungee")
	must(t, err)
	good := terms{ID: wire.LeaseID{1}, UE: ueID("acme", "a"), Host: "edge-1", Session: 3, Module: [32]byte{7}, Class: "ar", Limits: wire.Limits{Rate: 30, Memory: 1 << 20}}
	token, err := sign(epoch, good)
	must(t, err)
	if got, err := read("edge-1", token); err != nil || got != good {
		t.Errorf("got %+v, %v", got, err)
	}
	stranger := openTestStore(t, t.TempDir()+"/store")
	other, err := stranger.begin(epoch)
	must(t, err)
	sameKey := other
	sameKey.keys = run.keys
	forge := func(b start, domain string) []byte {
		sign, _, err := leasesOf(b, domain)
		must(t, err)
		token, err := sign(epoch, good)
		must(t, err)
		return token
	}
	changed := append([]byte(nil), token...)
	changed[len(changed)/2] ^= 1
	for name, token := range map[string][]byte{
		"of another key": forge(other, "bungee"), "of another run": forge(sameKey, "bungee"), "of another trust domain": forge(run, "evil"),
		"cut off": token[:len(token)-9], "changed": changed, "nothing": nil,
	} {
		if got, err := read("edge-1", token); err == nil {
			t.Errorf("a lease %s was taken: %+v", name, got)
		}
	}
	if _, err := read("edge-2", token); err == nil {
		t.Error("a lease for another host was taken")
	}

	w := newWorld(t, 1)
	w.l.read = read
	h := &modelHost{w: w, id: hostID("edge-1"), up: true, table: map[wire.LeaseID]*modelLease{}, register: wire.Register{Addresses: []string{"h:1"}, Turns: 4}}
	w.now = epoch.Add(time.Hour)
	h.peer = &modelPeer{}
	w.l.hostUp(w.now, h.id, h.peer, h.register)
	w.l.holding(w.now, "edge-1", h.peer, wire.Holding{Leases: [][]byte{token, token, changed}, Addresses: [][]string{{"h:5000", "h:1"}, {"h:5000", "h:1"}}})
	if len(w.l.leases) != 1 || len(w.l.sessions) != 1 || w.l.count.LeasesRefused != 1 || w.l.count.Adopted != 1 {
		t.Errorf("%d leases of %d sessions; %d refused", len(w.l.leases), len(w.l.sessions), w.l.count.LeasesRefused)
	}
	for _, s := range w.l.sessions {
		if got := s.last.Primary.Addresses; !slices.Equal(got, []string{"h:5000", "h:1"}) {
			t.Errorf("the UE of an adopted lease is sent to %v; want the addresses that it had", got)
		}
	}
}

// A UE that comes to need more gets leases that allow it, where it is.
func TestNeedsMore(t *testing.T) {
	w := newWorld(t, 1, names("edge", 2)...)
	u := w.addUE("headset")
	w.run(5 * time.Second)
	was := hostOf(u.known().primary)
	u.need.Rate, u.need.Memory, u.askAt = 60, 20<<20, w.now
	w.run(3 * time.Second)
	u.is(running, was)
	for _, h := range w.hosts {
		for _, le := range h.table {
			if le.Limits != (wire.Limits{Rate: 60 * rateSlack, Memory: 20 << 20, Share: 2}) {
				t.Errorf("%s allows %+v", h.id.Name, le.Limits)
			}
		}
	}
}

// Whatever is said twice changes nothing.
func TestRepeats(t *testing.T) {
	w := newWorld(t, 1, names("edge", 2)...)
	u := w.addUE("headset")
	w.run(15 * time.Second)
	s := u.known()
	what := func() string {
		return fmt.Sprint(s.state, s.primary.ID, s.primary.state, s.standby.ID, s.standby.state, len(w.l.leases), len(w.l.sessions))
	}
	was := what()
	moves := w.l.count.Moves
	for range 3 {
		w.l.ask(w.now, u.id, u.peer, s.ask)
		u.feel()
		for _, h := range w.hosts {
			w.l.hostUp(w.now, h.id, h.peer, h.register)
			f := wire.Holding{}
			for _, le := range h.sorted() {
				f.Leases = append(f.Leases, le.token)
			}
			w.l.holding(w.now, h.id.Name, h.peer, f)
			h.beat()
			w.l.did(w.now, h.id.Name, h.peer, wire.Did{Number: 1})
		}
	}
	if is := what(); is != was || w.l.count.Moves != moves {
		t.Errorf("repeats changed\n%s to\n%s", was, is)
	}
	w.run(time.Second)
	u.is(running, hostOf(s.primary))
}

// What peers that are not who they say send, counts for nothing: another UE's session, another host's orders and beats.
func TestOthersSessions(t *testing.T) {
	w := newWorld(t, 1, names("edge", 2)...)
	u := w.addUE("headset")
	w.run(5 * time.Second)
	thief := &modelPeer{}
	for _, id := range []identity.ID{ueID("acme", "thief"), ueID("other", "headset")} {
		w.l.bye(w.now, id, wire.Bye{Session: u.session})
		w.l.feel(w.now, id, thief, wire.Feel{Session: u.session, Round: u.round})
	}
	w.l.hostBeat(w.now, "edge-1", thief, wire.Beat{})
	w.l.did(w.now, "edge-1", thief, wire.Did{Number: 1, Failed: true})
	w.l.holding(w.now, "edge-1", thief, wire.Holding{})
	w.l.hostDown(w.now, "edge-1", thief)
	if len(thief.said) > 0 {
		t.Errorf("a thief was told %+v", thief.said)
	}
	w.run(time.Second)
	u.is(running, hostOf(u.known().primary))
}

// BenchmarkFeel is what the ledger does for a session whose calls miss their bound, where a thousand are on one host.
func BenchmarkFeel(b *testing.B) {
	w := newWorld(b, 1, names("edge", 100)...)
	w.limits.perTenant, w.limits.sessions, w.limits.asks = 20_000, 20_000, 1e6
	w.policy, _ = capability.ParsePolicy("p", []byte("[default.quota]\ninstances = 0\nmemory = \"0 B\"\nmodules = 0\n"))
	w.anew()
	for _, h := range w.hosts {
		h.register.Turns, h.register.Memory = 1000, 1<<40
		h.connect()
	}
	for i := range 1000 {
		w.addUE(fmt.Sprint(i))
	}
	for range 20 {
		w.run(100 * time.Millisecond)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.now = w.now.Add(time.Millisecond)
		u := w.ues[i%len(w.ues)]
		u.feel()
	}
	b.ReportMetric(float64(w.l.count.Decided[placement.Stays]), "decided")
}
