package link_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/radio"
)

// address returns the n-th of a UE's addresses, each another IP address.
func address(n int) *net.UDPAddr {
	return &net.UDPAddr{IP: net.IPv4(10, 1, byte(n>>8), byte(n)), Port: 1}
}

// echo sends back what comes on each stream, until the connection ends.
func echo(host *link.Conn) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		st, err := host.Accept(context.Background())
		if err != nil {
			return
		}
		wg.Go(func() { io.Copy(st, st); st.Close() })
	}
}

// A counter sends numbers on one stream and checks that they come back in order.
type counter struct {
	st      link.Stream
	period  time.Duration
	padding int // bytes of each message beyond the number
	sent    int
	wg      sync.WaitGroup

	last, gap time.Duration // since begin: the last arrival, the longest between two
	begin     time.Time
}

func startCounter(t *testing.T, ue *link.Conn, period time.Duration, padding int) *counter {
	t.Helper()
	st, err := ue.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{st: st, period: period, padding: padding, begin: time.Now()}
	return c
}

// run sends until stop is closed and then reads the rest.
func (c *counter) run(t *testing.T, stop <-chan struct{}) {
	c.wg.Go(func() {
		defer c.st.Close()
		tick := time.NewTicker(c.period)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			m := make([]byte, 8+c.padding)
			binary.BigEndian.PutUint64(m, uint64(c.sent))
			if _, err := c.st.Write(m); err != nil {
				t.Errorf("message %d: %v", c.sent, err)
				return
			}
			c.sent++
		}
	})
	c.wg.Go(func() {
		m := make([]byte, 8+c.padding)
		for n := 0; ; n++ {
			if _, err := io.ReadFull(c.st, m); err != nil {
				c.checkEnd(t, n, err)
				return
			}
			if got := binary.BigEndian.Uint64(m); got != uint64(n) {
				t.Errorf("got message %d, want %d", got, n)
			}
			at := time.Since(c.begin)
			c.gap, c.last = max(c.gap, at-c.last), at
		}
	})
}

func (c *counter) checkEnd(t *testing.T, n int, err error) {
	if err != io.EOF || n != c.sent {
		t.Errorf("%d of %d messages came back, then %v", n, c.sent, err)
	}
}

// switchTo moves ue to a socket at addr.
func switchTo(t *testing.T, air *radio.Air, ue *link.Conn, addr *net.UDPAddr) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := ue.SwitchPath(ctx, air.Endpoint(addr)); err != nil {
		t.Fatal(err)
	}
}

func checkClosed(t *testing.T, pc net.PacketConn) {
	t.Helper()
	if _, _, err := pc.ReadFrom(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the socket gives %v, want that it is closed", err)
	}
}

// Each message is back in its turn across twenty switches, between two addresses
// and under 20 KB at 60 a second, whatever becomes of the path that was left.
func TestSwitchPathUnderTraffic(t *testing.T) {
	tests := []struct {
		name  string
		after func(air *radio.Air, left net.IP, on bool)
		limit time.Duration
		why   string
	}{
		{"the old path lives", func(*radio.Air, net.IP, bool) {}, 100 * time.Millisecond, "nothing is lost, only the congestion window begins anew"},
		{"the old path is silent", (*radio.Air).Mute, 100 * time.Millisecond, "the switch comes first; what was under way is sent again"},
		{"the old interface is down", (*radio.Air).Cut, 100 * time.Millisecond, "no send error is an end"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			connect(t, func(t *testing.T, air *radio.Air, ue, host *link.Conn) {
				var wg sync.WaitGroup
				wg.Go(func() { echo(host) })
				c := startCounter(t, ue, time.Second/60, 20_000)
				stop := make(chan struct{})
				c.run(t, stop)
				from := ueAddr.IP
				for i := range 20 {
					time.Sleep(150 * time.Millisecond)
					to := &net.UDPAddr{IP: address(i % 2).IP, Port: 1 + i}
					tt.after(air, to.IP, false)
					switchTo(t, air, ue, to)
					time.Sleep(5 * time.Millisecond) // a switch takes effect at once, not within SwitchPath
					tt.after(air, from, true)
					from = to.IP
				}
				time.Sleep(2 * time.Second)
				close(stop)
				c.wg.Wait()
				t.Logf("%d messages, longest gap %v (period %v)", c.sent, c.gap, c.period)
				if c.gap > tt.limit {
					t.Errorf("longest gap %v, want at most %v: %s", c.gap, tt.limit, tt.why)
				}
				if got, want := host.RemoteAddr().(*net.UDPAddr).IP, from; !got.Equal(want) {
					t.Errorf("the host sends to %v, want %v", got, want)
				}
				ue.Close("")
				wg.Wait()
			})
		})
	}
}

// A path dies with as much under way as quic-go allows, and only then has the UE
// another one. That costs the silence and what it takes to try: two round
// trips until it is clear that quic-go tries nothing, and one and a half.
func TestSwitchPathFromADeadOne(t *testing.T) {
	connect(t, func(t *testing.T, air *radio.Air, ue, host *link.Conn) {
		var wg sync.WaitGroup
		wg.Go(func() { echo(host) })
		switchTo(t, air, ue, address(0)) // as each UE should
		c := startCounter(t, ue, 10*time.Millisecond, 5_000)
		stop := make(chan struct{})
		c.run(t, stop)
		const silence = 500 * time.Millisecond
		for n := range 20 {
			time.Sleep(time.Second)
			air.Mute(address(n).IP, true)
			time.Sleep(silence)
			switchTo(t, air, ue, address(n+1))
		}
		time.Sleep(time.Second)
		close(stop)
		c.wg.Wait()
		t.Logf("%d messages, longest gap %v with %v of silence", c.sent, c.gap, silence)
		if limit := silence + 150*time.Millisecond; c.gap > limit {
			t.Errorf("longest gap %v, want at most %v", c.gap, limit)
		}
		ue.Close("")
		wg.Wait()
	})
}

// The old path is silent, and so is the one that the UE goes to. The old one
// comes back.
func TestSwitchPathFromADeadOneToADeadOne(t *testing.T) {
	connect(t, func(t *testing.T, air *radio.Air, ue, host *link.Conn) {
		var wg sync.WaitGroup
		wg.Go(func() { echo(host) })
		switchTo(t, air, ue, address(0))
		c := startCounter(t, ue, 10*time.Millisecond, 5_000)
		stop := make(chan struct{})
		c.run(t, stop)
		time.Sleep(time.Second)
		air.Mute(address(0).IP, true)
		air.Mute(address(1).IP, true)
		time.Sleep(500 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		pc := air.Endpoint(address(1))
		if err := ue.SwitchPath(ctx, pc); !errors.Is(err, link.ErrNoAnswer) {
			t.Errorf("got %v, want ErrNoAnswer", err)
		}
		checkClosed(t, pc)
		air.Mute(address(0).IP, false)
		time.Sleep(time.Second)
		close(stop)
		c.wg.Wait()
		t.Logf("%d messages, longest gap %v", c.sent, c.gap)
		if got := host.RemoteAddr().String(); got != address(0).String() || ue.Err() != nil {
			t.Errorf("the host sends to %s, %v; want %s", got, ue.Err(), address(0))
		}
		ue.Close("")
		wg.Wait()
	})
}

// An interface that is down for a while ends nothing: each send fails, and what was
// to be sent goes out when it is up again.
func TestInterfaceDownForAWhile(t *testing.T) {
	connect(t, func(t *testing.T, air *radio.Air, ue, host *link.Conn) {
		var wg sync.WaitGroup
		wg.Go(func() { echo(host) })
		c := startCounter(t, ue, 10*time.Millisecond, 1_000)
		stop := make(chan struct{})
		c.run(t, stop)
		time.Sleep(time.Second)
		air.Cut(ueAddr.IP, true)
		time.Sleep(2 * time.Second)
		air.Cut(ueAddr.IP, false)
		time.Sleep(3 * time.Second)
		close(stop)
		c.wg.Wait()
		t.Logf("%d messages, longest gap %v with 2 s down", c.sent, c.gap)
		ue.Close("")
		wg.Wait()
	})
}

// An idle UE's host sends to the new path at once.
func TestSwitchPathWhileIdle(t *testing.T) {
	connect(t, func(t *testing.T, air *radio.Air, ue, host *link.Conn) {
		time.Sleep(time.Second)
		first := air.Endpoint(address(0))
		for n, pc := range []net.PacketConn{first, air.Endpoint(address(1))} {
			if err := ue.SwitchPath(t.Context(), pc); err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
			if got := host.RemoteAddr().String(); got != address(n).String() {
				t.Errorf("50 ms after the switch the host sends to %s, want %s", got, address(n))
			}
		}
		air.Mute(ueAddr.IP, true)
		air.Mute(address(0).IP, true)
		time.Sleep(time.Second)
		checkClosed(t, first)
		time.Sleep(time.Minute)
		if err := ue.Err(); err != nil {
			t.Errorf("a minute later: %v", err)
		}
	})
}

func TestSwitchPathFails(t *testing.T) {
	connect(t, func(t *testing.T, air *radio.Air, ue, host *link.Conn) {
		for n := range 5 {
			air.Mute(address(n).IP, true)
			pc := air.Endpoint(address(n))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := ue.SwitchPath(ctx, pc)
			cancel()
			if !errors.Is(err, link.ErrNoAnswer) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a path into the void gave %v, want ErrNoAnswer at the deadline", err)
			}
			checkClosed(t, pc)
		}
		if got := host.RemoteAddr().String(); got != ueAddr.String() || ue.Err() != nil {
			t.Errorf("the host sends to %s, %v; want that nothing has changed", got, ue.Err())
		}
		time.Sleep(10 * time.Second) // the host forgets the paths that it could not check
		switchTo(t, air, ue, address(100))
		if err := host.SwitchPath(t.Context(), air.Endpoint(address(101))); err == nil {
			t.Error("the end that accepted could switch paths")
		}
	})
}

func TestSwitchPathEndsWithTheConnection(t *testing.T) {
	connect(t, func(t *testing.T, air *radio.Air, ue, host *link.Conn) {
		first, second := air.Endpoint(address(10)), air.Endpoint(address(11))
		for _, pc := range []net.PacketConn{first, second} { // first is in its grace at the end
			if err := ue.SwitchPath(t.Context(), pc); err != nil {
				t.Fatal(err)
			}
		}
		air.Mute(address(1).IP, true)
		time.AfterFunc(100*time.Millisecond, func() { ue.Close("") })
		if err := ue.SwitchPath(t.Context(), air.Endpoint(address(1))); !errors.Is(err, link.ErrClosed) {
			t.Errorf("closing during the probe gave %v, want ErrClosed", err)
		}
		checkClosed(t, first)
		checkClosed(t, second)
		pc := air.Endpoint(address(2))
		if err := ue.SwitchPath(t.Context(), pc); !errors.Is(err, link.ErrClosed) {
			t.Errorf("after Close: %v, want ErrClosed", err)
		}
		checkClosed(t, pc)
	})
}

// Neither loss nor disorder costs a byte or the connection, if the path lives a
// while: a host that loses one path after another before it can say so runs out of
// connection IDs for more.
func TestSwitchPathOnALossyLink(t *testing.T) {
	for seed := range uint64(5) {
		connect(t, func(t *testing.T, air *radio.Air, ue, host *link.Conn) {
			air.Seed = seed
			air.Set(nil, nil, radio.Faults{Loss: 0.05, Duplicate: 0.05, Reorder: 0.1})
			var wg sync.WaitGroup
			wg.Go(func() { echo(host) })
			c := startCounter(t, ue, 10*time.Millisecond, 1_000)
			stop := make(chan struct{})
			c.run(t, stop)
			for n := range 20 {
				time.Sleep(300 * time.Millisecond)
				if n%3 == 2 {
					air.Mute(address(n-1).IP, true)
					time.Sleep(300 * time.Millisecond)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				if err := ue.SwitchPath(ctx, air.Endpoint(address(n))); err != nil {
					t.Errorf("seed %d, switch %d: %v", seed, n, err)
				}
				cancel()
			}
			close(stop)
			c.wg.Wait()
			t.Logf("seed %d: %d messages, longest gap %v", seed, c.sent, c.gap)
			ue.Close("")
			wg.Wait()
		})
	}
}

// Switches that are asked for at once are made one by one.
func TestSwitchPathByMany(t *testing.T) {
	connect(t, func(t *testing.T, air *radio.Air, ue, host *link.Conn) {
		var wg sync.WaitGroup
		for n := range 5 {
			wg.Go(func() {
				for i := range 4 {
					if err := ue.SwitchPath(t.Context(), air.Endpoint(address(10*n+i))); err != nil {
						t.Error(err)
					}
					ue.Peer()
				}
			})
		}
		wg.Wait()
		if got := ue.RemoteAddr().String(); got != hostAddr.String() || ue.Err() != nil {
			t.Errorf("the UE sends to %s, %v", got, ue.Err())
		}
	})
}

// A nat is between a UE's socket and the air, and gives the UE another address
// from one packet to the next.
type nat struct {
	air *radio.Air

	mu      sync.Mutex
	outside *net.UDPAddr
	inside  simnet.PacketReceiver
}

// AddNode implements simnet.Router, for the UE's socket.
func (n *nat) AddNode(_ net.Addr, inside simnet.PacketReceiver) { n.inside = inside }

// SendPacket implements simnet.Router.
func (n *nat) SendPacket(p simnet.Packet) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	p.From = n.outside
	return n.air.SendPacket(p)
}

// RecvPacket implements simnet.PacketReceiver, for the air.
func (n *nat) RecvPacket(p simnet.Packet) { n.inside.RecvPacket(p) }

// bind gives the UE an outside address. What comes for the one before is lost.
func (n *nat) bind(addr *net.UDPAddr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.outside != nil {
		n.air.Leave(n.outside)
	}
	n.outside = addr
	n.air.AddNode(addr, n)
}

// A UE behind a NAT has another address all of a sudden, and knows nothing of it.
func TestNATRebinding(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		box := &nat{air: w.air}
		box.bind(address(0))
		ue, host := w.dial(t, simnet.NewBlockingSimConn(ueAddr, box))
		var wg sync.WaitGroup
		wg.Go(func() { echo(host) })
		c := startCounter(t, ue, 10*time.Millisecond, 5_000)
		stop := make(chan struct{})
		c.run(t, stop)
		for n := range 5 {
			time.Sleep(time.Second)
			box.bind(address(1 + n))
		}
		time.Sleep(time.Second)
		close(stop)
		c.wg.Wait()
		t.Logf("%d messages, longest gap %v", c.sent, c.gap)
		if limit := 300 * time.Millisecond; c.gap > limit {
			t.Errorf("longest gap %v, want at most %v", c.gap, limit)
		}
		if got := host.RemoteAddr().String(); got != address(5).String() {
			t.Errorf("the host sends to %s, want %s", got, address(5))
		}
		ue.Close("")
		wg.Wait()
	})
}
