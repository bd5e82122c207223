package siege

import (
	"context"
	"crypto/sha256"
	"net"
	"sync/atomic"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/link/linktest"
	"github.com/bungee-xr/bungee/internal/wire"
)

// The attacks that want many of what a host has few.
var crowds = []Attack{
	{"connections", "H1", manyConnections},
	{"connections-tcp", "H8", manyTCPConnections},
	{"streams", "H1", manyStreams},
	{"channels", "H10", manyChannels},
	{"lifelines", "H8", manyLifelines},
	{"sessions", "H1", manySessions},
	{"handshakes", "H1", handshakes},
	{"initials", "H1", initials},
	{"modules", "H10", manyModules},
}

// mostConnections is how many an attacker keeps: its own process has to hold them, too.
const mostConnections = 300

// manyConnections keeps connections without end that ask for nothing (H1). An act is a connection.
func manyConnections(ctx context.Context, a *attacker) { a.connect(ctx, Dial) }

// manyTCPConnections keeps as many over TCP, each with a descriptor of the host (H8).
func manyTCPConnections(ctx context.Context, a *attacker) { a.connect(ctx, DialTCP) }

func (a *attacker) connect(ctx context.Context, dial dialer) {
	a.follow(ctx, plan{dial: dial, conns: mostConnections, do: func(ctx context.Context, u *UE) error {
		a.act()
		rest(ctx, patience)
		return nil
	}})
}

// manyStreams opens as many streams as the host allows and sends a byte on each (H1). An act is a
// stream.
func manyStreams(ctx context.Context, a *attacker) {
	a.follow(ctx, plan{conns: 2, streams: 4000, do: func(ctx context.Context, u *UE) error {
		return a.stand(ctx, u, []byte{byte(wire.TypePing)})
	}})
}

// manyChannels keeps far endpoints without end, of a module that asks for little memory, so that
// its quota has room for them all (H10). An act is a far endpoint.
func manyChannels(ctx context.Context, a *attacker) {
	small := withManifest(Guest, `{"limits":{"memory":1048576}}`)
	a.follow(ctx, plan{streams: 1024, module: small, do: func(ctx context.Context, u *UE) error {
		_, st, err := attach(ctx, u, wire.Attach{Fn: fnHandle, Module: sha256.Sum256(small)})
		if err != nil {
			return err
		}
		return a.standOn(ctx, st)
	}})
}

// withManifest returns wasm with a manifest.
func withManifest(wasm []byte, manifest string) []byte {
	name := capability.Section
	body := append(append([]byte{byte(len(name))}, name...), manifest...)
	return append(append([]byte(nil), wasm...), section(0, body)...)
}

// manyLifelines asks for lifelines with the host's own keys, a new one as soon as there is one
// (H8). An act is a lifeline.
func manyLifelines(ctx context.Context, a *attacker) {
	a.follow(ctx, plan{conns: 20, do: func(ctx context.Context, u *UE) error {
		host, _, err := net.SplitHostPort(a.way.Host)
		if err != nil {
			return err
		}
		for n := uint32(0); ctx.Err() == nil; n++ {
			addr := net.TCPAddr{IP: net.ParseIP(host), Port: u.Welcome.Lifeline}
			c, err := Way{addr.String(), a.way.From}.dial(ctx, "tcp")
			if err != nil {
				return err
			}
			l, err := link.AskLifeline(ctx, c, u.Welcome.Key, n)
			if err != nil {
				return err
			}
			a.act()
			defer l.Close() // not before the connection ends: as many as there are
		}
		return nil
	}})
}

// manySessions makes a session after the other, each with a call, so that each has a state and a bill
// at the host (brother of H1). An act is a session.
func manySessions(ctx context.Context, a *attacker) {
	each(8, func() {
		again(ctx, func() error {
			u, err := Dial(ctx, a.way, a.conf)
			if err != nil {
				return err
			}
			defer u.Close("")
			defer context.AfterFunc(ctx, func() { u.Close("") })()
			return a.exchange(ctx, u, guestCall(fnAnswer, 0), request(1))
		})
	})
}

// handshakes makes handshakes without end, and leaves each connection at once: a signature of the
// host each (H1). An act is a handshake.
func handshakes(ctx context.Context, a *attacker) {
	each(16, func() {
		again(ctx, func() error {
			c, err := dialQUIC(ctx, a.way, a.conf)
			if err != nil {
				return err
			}
			a.act()
			return c.Close("")
		})
	})
}

// initials sends the first packets of handshakes, and answers nothing (held under attack, and to stay
// so). An act is a packet.
func initials(ctx context.Context, a *attacker) {
	var n atomic.Int64
	each(16, func() {
		again(ctx, func() error {
			c, err := a.way.dial(ctx, "udp")
			if err != nil {
				return err
			}
			defer c.Close()
			for range 64 {
				if _, err := c.Write(linktest.Initial(int(n.Add(1)))); err != nil {
					return err
				}
				a.act()
			}
			rest(ctx, regret)
			return nil
		})
	})
}

// manyModules sends one small module after the other, and pushes others' out of memory and off the disk
// (H10). An act is a module.
func manyModules(ctx context.Context, a *attacker) {
	small := program{}.wasm()
	a.follow(ctx, plan{streams: 4, do: func(ctx context.Context, u *UE) error { return a.put(ctx, u, small) }})
}

// put sends wasm as a module that no host has seen, and waits for what the host says.
func (a *attacker) put(ctx context.Context, u *UE, wasm []byte) error {
	wasm = a.distinct(wasm)
	a.act()
	if err := u.Put(ctx, sha256.Sum256(wasm), wasm); !isFail(err) {
		return err
	}
	return nil
}
