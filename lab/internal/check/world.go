package check

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/radio"
	"github.com/bungee-xr/bungee/offload"
)

// A world is one run of a script: a UE, three edge hosts, the air between them
// and the channels. It runs in virtual time.
type world struct {
	stage
	script   *Script
	certs    *certificates
	air      *radio.Air
	peers    map[Host]*target // the targets
	lanes    []*life
	switches sync.WaitGroup // of paths

	// Guarded by the stage's mu, but for edges: these are the script's own.
	edges    map[Host]*edge
	muted    map[Host]int // how many reasons each host has to be silent
	slow     map[Host]time.Duration
	bad      radio.Faults // of all links but those in links
	links    map[Host]radio.Faults
	refusals map[Host]refusal
	far      map[uint32]farEnd
	path     byte // of the UE's addresses
	port     int  // of the UE's last socket
	tcp      bool // hosts are reached over TCP
}

// A farEnd is what an edge host must know to serve a channel.
type farEnd struct {
	settings Settings
	journal  *journal
}

// certificates are those of a UE and of the edge hosts. They take long to make, so runs
// share them.
type certificates struct {
	ue    *tls.Config
	hosts [identities]*tls.Config
}

// Which certificate a host has that comes back at its address.
const (
	same    = iota
	renewed // another one of the same authority
	foreign // one of another authority, which the UE must refuse
	identities
)

// newCertificates must be called in virtual time, where its results are valid.
func newCertificates() (*certificates, error) {
	ca, err := identity.NewAuthority()
	if err != nil {
		return nil, err
	}
	ue, err := ca.TLS(identity.UE, "headset")
	if err != nil {
		return nil, err
	}
	c := &certificates{ue: ue}
	other, err := identity.NewAuthority()
	if err != nil {
		return nil, err
	}
	for i, from := range [...]*identity.Authority{same: ca, renewed: ca, foreign: other} {
		if c.hosts[i], err = from.TLS(identity.Host, "edge"); err != nil {
			return nil, err
		}
	}
	return c, nil
}

var addrs = map[Host]*net.UDPAddr{
	A: {IP: net.IPv4(10, 0, 0, 2), Port: 4433},
	B: {IP: net.IPv4(10, 0, 0, 3), Port: 4433},
	C: {IP: net.IPv4(10, 0, 0, 4), Port: 4433},
}

// ueIP is one of the UE's two addresses.
func ueIP(path byte) net.IP { return net.IPv4(10, 1, path, 1) }

func newWorld(s *Script, certs *certificates, count *Counts, sab *sabotage) *world {
	w := &world{
		stage: stage{
			seed: s.Seed, queue: len(s.Steps) + 1, count: count, sabotage: sab.whole(), targets: map[Host]elastic.Target{},
			delay: s.Delay, channels: len(s.Channels), adversary: s.Adversary,
		},
		script: s, certs: certs, air: &radio.Air{OneWay: s.Delay, Seed: s.Seed}, peers: map[Host]*target{},
		edges: map[Host]*edge{}, muted: map[Host]int{}, slow: map[Host]time.Duration{}, far: map[uint32]farEnd{},
		links: map[Host]radio.Faults{}, refusals: map[Host]refusal{},
		tcp: s.TCP,
	}
	w.register = w.known
	for _, h := range hosts {
		w.peers[h] = newTarget(string(h), addrs[h], certs.ue, func() (net.PacketConn, error) { return w.socket(), nil })
		if w.tcp {
			w.peers[h].stream = func(ctx context.Context) (net.Conn, error) { return w.stream(ctx, h) }
		}
		w.targets[h] = w.peers[h]
	}
	return w
}

// run does the script.
func (w *world) run() {
	for _, h := range hosts {
		w.start(h, same)
	}
	for _, s := range w.script.Channels {
		w.lanes = append(w.lanes, w.openLife(s))
	}
	for _, s := range w.script.Steps {
		if w.failed() {
			break
		}
		w.count.Steps.Add(1)
		w.step(s)
	}
	w.heal()
	for _, l := range w.lanes {
		if !w.failed() {
			l.settle()
		}
	}
	w.end()
}

// end ends everything in the world.
func (w *world) end() {
	for _, l := range w.lanes {
		if w.failed() {
			l.close()
		} else {
			l.shutdown(false)
		}
	}
	w.linger()
	w.switches.Wait()
	for _, t := range w.peers {
		t.drop()
	}
	for _, h := range hosts {
		w.stop(h)
	}
}

// linger waits until messages that are stubborn have let go of the far endpoints that
// were left behind with them.
func (w *world) linger() {
	var most time.Duration
	for _, s := range w.script.Channels {
		most = max(most, (stubbornness+1)*s.Deadline)
	}
	if w.lags.Load() > 0 {
		time.Sleep(most)
	}
}

// socket returns a socket of the UE at its current address.
func (w *world) socket() net.PacketConn {
	w.mu.Lock()
	w.port++
	addr := &net.UDPAddr{IP: ueIP(w.path), Port: 1000 + w.port}
	w.mu.Unlock()
	return w.air.Endpoint(addr)
}

func tcp(a *net.UDPAddr) *net.TCPAddr { return &net.TCPAddr{IP: a.IP, Port: a.Port} }

// stream connects the UE's current address to a host over TCP.
func (w *world) stream(ctx context.Context, h Host) (net.Conn, error) {
	w.mu.Lock()
	w.port++
	from := &net.TCPAddr{IP: ueIP(w.path), Port: 1000 + w.port}
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return w.air.Dial(ctx, from, tcp(addrs[h]))
}

// ground returns where a far endpoint stands on host h.
func (w *world) ground(h Host, index uint32, f farEnd) *ground {
	return &ground{host: h, journal: f.journal, desc: descOf(index, f.settings), slow: func() time.Duration { return w.slowness(h) }, harsh: w.adversary, pad: f.settings.Pad}
}

func (w *world) slowness(h Host) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.slow[h]
}

// known lets edge hosts serve the endpoint with this index.
func (w *world) known(index uint32, s Settings, j *journal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.far[index] = farEnd{s, j}
}

// start starts a host that is not there.
func (w *world) start(h Host, identity int) {
	conf := w.certs.hosts[identity]
	if w.sabotage.trusting {
		conf = w.certs.hosts[same]
	}
	open := func(_ context.Context, _ offload.Digest, fn uint32) (far.Endpoint, error) {
		w.mu.Lock()
		f, ok := w.far[fn]
		w.mu.Unlock()
		if identity == foreign {
			w.fail("a foreign host, %s, was given a far endpoint: its certificate is of another authority", h)
		}
		if !ok {
			return nil, fmt.Errorf("there is no endpoint %d", fn)
		}
		return w.sabotage.wrap(newGuest(w.ground(h, fn, f), func() (bool, bool) { return w.refuses(h) })), nil
	}
	var e *edge
	var err error
	if w.tcp {
		e = serveAt(link.ListenTCP(w.air.Listen(tcp(addrs[h])), conf, nil), open)
	} else {
		e, err = serveEdge(w.air.Endpoint(addrs[h]), conf, open)
	}
	if err != nil {
		w.fail("start %s: %v", h, err)
		return
	}
	w.edges[h] = e
}

// stop ends a host.
func (w *world) stop(h Host) {
	if e := w.edges[h]; e != nil {
		e.close()
		w.air.Leave(addrs[h])
		delete(w.edges, h)
	}
}

// silence gives host h one more or one less reason to be silent.
func (w *world) silence(h Host, change int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.muted[h] += change
	w.harm = true
	w.air.Mute(addrs[h].IP, w.muted[h] > 0)
}

// heal ends all faults. Hosts that have crashed stay away.
func (w *world) heal() {
	w.mu.Lock()
	clear(w.slow)
	clear(w.refusals)
	for _, h := range hosts {
		w.muted[h] = 0
		w.air.Mute(addrs[h].IP, false)
	}
	w.mu.Unlock()
	w.tune(func() { w.bad = radio.Faults{}; clear(w.links) })
	for _, l := range w.lanes {
		l.paused.Store(0)
	}
}
