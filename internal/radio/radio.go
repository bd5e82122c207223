// Package radio is the network of tests: packets and streams between endpoints in one
// process, in the virtual time of testing/synctest. It can do to them what radio
// does: lose, double, delay and reorder them, hold them in a queue before a slow
// link, and fall silent.
//
//	air := &radio.Air{OneWay: 5 * time.Millisecond, Seed: seed}
//	air.Set(nil, ueAddr.IP, radio.Faults{Loss: 0.01, Rate: 60e6}) // the downlink
//	pc := air.Endpoint(ueAddr)
//
// What happens to the n-th packet of a direction, from one IP address to another,
// depends on Seed, the two addresses and n alone.
package radio

import (
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"
)

// An Air carries packets between its endpoints. The zero Air is perfect: it has
// no delay, and keeps all packets and their order. It may be used by many goroutines.
type Air struct {
	// OneWay is the delay of each packet. Set it before the first packet.
	OneWay time.Duration
	// Seed decides which packets the faults strike. Set it before the first packet.
	Seed uint64

	mu     sync.Mutex
	nodes  map[netip.AddrPort]simnet.PacketReceiver
	ways   map[pair]*way
	faults map[pair]Faults // an invalid address of the pair: any
	silent bool
	muted  map[netip.Addr]bool
	cut    map[netip.Addr]bool
	parted map[pair]bool
	block  bool

	listeners map[netip.AddrPort]*listener // of streams
}

// A pair is a direction: from one IP address to another.
type pair struct{ from, to netip.Addr }

// Endpoint returns a socket at addr. It must be read until it is closed: what is
// not read holds up the packets behind it.
func (a *Air) Endpoint(addr *net.UDPAddr) net.PacketConn { return simnet.NewBlockingSimConn(addr, a) }

// Set makes f happen to the packets that are sent from one IP address to
// another from now on. Nil is any address. Of several settings that fit a
// packet, the one for both addresses counts, then the sender's, then the receiver's.
func (a *Air) Set(from, to net.IP, f Faults) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.faults == nil {
		a.faults = map[pair]Faults{}
	}
	a.faults[pair{ip(from), ip(to)}] = f
}

// Silence makes the air lose every packet that would arrive from now on, until it is
// called with false. Senders get no error.
func (a *Air) Silence(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.silent = on
}

// Block makes the air lose every packet from now on, as a firewall against UDP does, until it
// is called with false. Streams pass.
func (a *Air) Block(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.block = on
}

// Mute makes the air lose every packet that is on its way from or to an address,
// and every further one, until it is called with false. This is a host that is alive and
// cannot be reached.
func (a *Air) Mute(addr net.IP, on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.muted == nil {
		a.muted = map[netip.Addr]bool{}
	}
	a.muted[ip(addr)] = on
}

// Part makes the air lose every packet from one address to another, as it does with Mute, until it is called with false. The other
// direction stays as it is.
func (a *Air) Part(from, to net.IP, on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.parted == nil {
		a.parted = map[pair]bool{}
	}
	a.parted[pair{ip(from), ip(to)}] = on
}

// Cut takes the interface of an address down, or up again: sending from it fails
// with ENETUNREACH, and nothing arrives.
func (a *Air) Cut(addr net.IP, on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cut == nil {
		a.cut = map[netip.Addr]bool{}
	}
	a.cut[ip(addr)] = on
}

// Leave takes addr out, so that another endpoint can have it.
func (a *Air) Leave(addr *net.UDPAddr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.nodes, addrPort(addr))
}

// AddNode implements simnet.Router.
func (a *Air) AddNode(addr net.Addr, r simnet.PacketReceiver) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.nodes == nil {
		a.nodes = map[netip.AddrPort]simnet.PacketReceiver{}
	}
	a.nodes[addrPort(addr)] = r
}

// SendPacket implements simnet.Router.
func (a *Air) SendPacket(p simnet.Packet) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	dir := pair{addrPort(p.From).Addr(), addrPort(p.To).Addr()}
	if a.cut[dir.from] {
		return syscall.ENETUNREACH
	}
	if a.block || a.muted[dir.from] || a.muted[dir.to] || a.parted[dir] {
		return nil
	}
	f := a.faultsLocked(dir)
	if !f.fits(dir, len(p.Data)) {
		return nil
	}
	w := a.wayLocked(dir)
	for _, at := range w.plan(time.Now(), len(p.Data), a.OneWay, f) {
		w.put(sent{p, at})
	}
	w.wakeLocked(a)
	return nil
}

func (a *Air) wayLocked(dir pair) *way {
	w := a.ways[dir]
	if w == nil {
		if a.ways == nil {
			a.ways = map[pair]*way{}
		}
		w = newWay(dir, a.Seed)
		a.ways[dir] = w
	}
	return w
}

func (a *Air) faultsLocked(dir pair) Faults {
	var any netip.Addr
	for _, p := range []pair{dir, {dir.from, any}, {any, dir.to}} {
		if f, ok := a.faults[p]; ok {
			return f
		}
	}
	return a.faults[pair{}]
}

// deliver hands over what of w has arrived. One goroutine at a time does.
func (a *Air) deliver(w *way) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w.delivering {
		return
	}
	w.delivering = true
	for len(w.waiting) > 0 && !w.waiting[0].at.After(time.Now()) {
		p := w.take()
		to := a.receiverLocked(p)
		if to == nil {
			continue // lost
		}
		a.mu.Unlock()
		to.RecvPacket(p)
		a.mu.Lock()
	}
	w.delivering = false
	w.wakeLocked(a)
}

// receiverLocked returns the receiver of p, nil for none.
func (a *Air) receiverLocked(p simnet.Packet) simnet.PacketReceiver {
	from, to := addrPort(p.From).Addr(), addrPort(p.To)
	if a.silent || a.block || a.muted[from] || a.muted[to.Addr()] || a.parted[pair{from, to.Addr()}] || a.cut[to.Addr()] {
		return nil
	}
	return a.nodes[to]
}

func ip(addr net.IP) netip.Addr {
	ip, _ := netip.AddrFromSlice(addr)
	return ip.Unmap()
}

func addrPort(addr net.Addr) netip.AddrPort {
	u := addr.(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(u.Addr().Unmap(), u.Port())
}

// begin is when virtual time begins after Begin, later than any program's start.
var begin = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// Begin lets virtual time pass to the year 2100. A bubble begins in 2000, and
// quic-go counts time from the program's start: before it, its packets that probe
// a path seem to come from the future, and its loss timer fires for ever. Call it
// first in a bubble where a connection changes its path. Certificates of another
// bubble are valid if that bubble called Begin, too.
func Begin() { time.Sleep(time.Until(begin)) }
