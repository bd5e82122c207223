package link

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go"
)

// YoungCost is what a handshake may make a host hold until the peer is known, with little to spare:
// 13 KiB where it stands still, and what a peer may send ahead, 16 KiB of TLS and 32 packets that
// cannot be decrypted yet (quic-go's MaxCryptoStreamOffset and MaxUndecryptablePackets). TLS over TCP takes less.
const YoungCost = 96 << 10

// maxYoungVerified is how many handshakes over QUIC one verified address may be about to make: its host's /64 over
// IPv6. Addresses that are not verified may be forged, so that nobody can be blamed for those; the gate bounds them.
const maxYoungVerified = 256

// errCrowded ends a handshake for which there is no room. QUIC tells the peer that it is refused.
var errCrowded = errors.New("too many handshakes are under way")

// young are the handshakes of a listener over QUIC whose peers are not known yet.
type young struct {
	asked

	mu   sync.Mutex // leaf
	each map[netip.Addr]int
}

// asked knows who decides about further handshakes.
type asked struct {
	may atomic.Pointer[func() (func(), bool)]
}

func (a *asked) begin() (known func(), ok bool) {
	if may := a.may.Load(); may != nil {
		return (*may)()
	}
	return func() {}, true
}

// OnStranger has may decide, from now on, whether a handshake begins, and calls what it returns once the peer
// is known, or gone. may must not block.
func (l *Listener) OnStranger(may func() (known func(), ok bool)) { l.young.may.Store(&may) }

// OnStranger does what that of [Listener] does. A lifeline counts until it has proved itself.
func (l *TCPListener) OnStranger(may func() (known func(), ok bool)) { l.asked.may.Store(&may) }

// enter counts a handshake, until known is called.
func (y *young) enter(info *quic.ClientInfo) (known func(), ok bool) {
	gone, ok := y.one(info)
	if !ok {
		return nil, false
	}
	done, ok := y.begin()
	if !ok {
		gone()
		return nil, false
	}
	return sync.OnceFunc(func() { gone(); done() }), true
}

// one counts a handshake of a verified address.
func (y *young) one(info *quic.ClientInfo) (gone func(), ok bool) {
	if !info.AddrVerified {
		return func() {}, true
	}
	ip := network(info.RemoteAddr)
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.each[ip] >= maxYoungVerified {
		return nil, false
	}
	if y.each == nil {
		y.each = map[netip.Addr]int{}
	}
	y.each[ip]++
	return func() {
		y.mu.Lock()
		defer y.mu.Unlock()
		if y.each[ip]--; y.each[ip] == 0 {
			delete(y.each, ip)
		}
	}, true
}

// network returns an address without its port, and of IPv6 the /64.
func network(a net.Addr) netip.Addr {
	var port netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		port = a.AddrPort()
	case *net.TCPAddr:
		port = a.AddrPort()
	}
	ip := port.Addr().Unmap().WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return ip
}

// knownKey is the key of what a connection's context has to call once the peer is known.
type knownKey struct{}

// grown notes that the peer of a connection is known.
func grown(ctx context.Context) {
	if known, ok := ctx.Value(knownKey{}).(func()); ok {
		known()
	}
}
