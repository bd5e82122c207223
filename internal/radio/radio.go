// Package radio is the network of tests: packets between endpoints in one
// process, with a delay, in the virtual time of testing/synctest. It can fall
// silent, as radio does.
package radio

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"
)

// An Air carries packets between its endpoints. The zero Air has no delay.
// It may be used by many goroutines.
type Air struct {
	// OneWay is the delay of each packet. Set it before the first packet.
	OneWay time.Duration

	router simnet.PerfectRouter
	silent atomic.Bool
}

// Endpoint returns a socket at addr.
func (a *Air) Endpoint(addr *net.UDPAddr) net.PacketConn { return simnet.NewSimConn(addr, a) }

// Silence makes the air lose every packet that would arrive from now on, or no
// more. Nobody is told.
func (a *Air) Silence(on bool) { a.silent.Store(on) }

// Leave takes addr out, so that another endpoint can have it.
func (a *Air) Leave(addr *net.UDPAddr) { a.router.RemoveNode(addr) }

// AddNode implements simnet.Router.
func (a *Air) AddNode(addr net.Addr, r simnet.PacketReceiver) { a.router.AddNode(addr, r) }

// SendPacket implements simnet.Router.
func (a *Air) SendPacket(p simnet.Packet) error {
	time.AfterFunc(a.OneWay, func() {
		if !a.silent.Load() {
			a.router.SendPacket(p) // fails where nobody is: lost, too
		}
	})
	return nil
}
