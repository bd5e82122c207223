package bench

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A weather is what a link does to what goes through it, each way.
type weather struct {
	delay time.Duration // of everything
	rate  float64       // bits a second; 0: any
	loss  float64       // share of the packets
	seed  uint64        // of which packets are lost
}

// queueTime is how long a packet waits at most where the rate holds it up, as in
// the queue of a radio or a home router.
const queueTime = 50 * time.Millisecond

// A lane is one direction of a link, in which packets keep their order.
type lane struct {
	weather
	out chan parcel // cap: more than fits in delay and queue at any rate here
	wg  sync.WaitGroup

	mu   sync.Mutex
	dice *rand.Rand
	free time.Time // when what is in the queue has gone out
}

// A parcel is a packet, or a piece of a stream, under way.
type parcel struct {
	at      time.Time // of arrival
	b       []byte
	deliver func([]byte)
}

func newLane(w weather, way uint64) *lane {
	l := &lane{weather: w, out: make(chan parcel, 1<<14), dice: rand.New(rand.NewPCG(way, w.seed))}
	l.wg.Go(func() {
		for p := range l.out {
			time.Sleep(time.Until(p.at))
			p.deliver(p.b)
		}
	})
	return l
}

// end ends the lane. Nobody sends afterwards.
func (l *lane) end() {
	close(l.out)
	l.wg.Wait()
}

// send delivers b later, or loses it.
func (l *lane) send(b []byte, deliver func([]byte)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.free.Before(now) {
		l.free = now
	}
	if l.dice.Float64() < l.loss || l.rate > 0 && l.free.Sub(now) > queueTime {
		return
	}
	if l.rate > 0 {
		l.free = l.free.Add(time.Duration(float64(8*len(b)) / l.rate * float64(time.Second)))
	}
	l.out <- parcel{l.free.Add(l.delay), b, deliver}
}

// A relay is a link between the near ends that send to its address and one host.
type relay struct {
	address  string
	up, down *lane
	close    func() error // ends all that reads
	wg       sync.WaitGroup
}

func newRelay(w weather) *relay { return &relay{up: newLane(w, 1), down: newLane(w, 2)} }

// become changes the weather of the link, both ways.
func (r *relay) become(w weather) {
	for _, l := range []*lane{r.up, r.down} {
		l.mu.Lock()
		l.weather = w
		l.mu.Unlock()
	}
}

// end takes the link away.
func (r *relay) end() error {
	err := r.close()
	r.wg.Wait()
	r.up.end()
	r.down.end()
	return err
}

// packet is more than a packet of QUIC has.
const packet = 2 << 10

// relayUDP makes a relay to the UDP address host.
func relayUDP(w weather, host string) (*relay, error) {
	to, err := net.ResolveUDPAddr("udp", host)
	if err != nil {
		return nil, err
	}
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	front.SetReadBuffer(socketBuffer)
	u := &udpRelay{relay: newRelay(w), front: front, host: to, backs: map[netip.AddrPort]*net.UDPConn{}}
	u.address, u.relay.close = front.LocalAddr().String(), u.close
	u.wg.Go(u.upwards)
	return u.relay, nil
}

// socketBuffer is for a queue's time of packets at any rate here. The system may
// give less.
const socketBuffer = 4 << 20

// A udpRelay has a socket towards the host for each near end.
type udpRelay struct {
	*relay
	front *net.UDPConn
	host  *net.UDPAddr

	mu    sync.Mutex
	backs map[netip.AddrPort]*net.UDPConn
}

func (u *udpRelay) close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	err := u.front.Close()
	for _, b := range u.backs {
		err = errors.Join(err, b.Close())
	}
	u.backs = nil
	return err
}

// back returns the socket towards the host for the near end at from.
func (u *udpRelay) back(from netip.AddrPort) (*net.UDPConn, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.backs == nil {
		return nil, net.ErrClosed
	}
	if b := u.backs[from]; b != nil {
		return b, nil
	}
	b, err := net.DialUDP("udp", nil, u.host)
	if err != nil {
		return nil, err
	}
	b.SetReadBuffer(socketBuffer)
	u.backs[from] = b
	u.wg.Go(func() { u.downwards(b, from) })
	return b, nil
}

func (u *udpRelay) upwards() {
	for {
		p := make([]byte, packet)
		n, from, err := u.front.ReadFromUDPAddrPort(p)
		if err != nil {
			return
		}
		if b, err := u.back(from); err == nil { // else a packet lost
			u.up.send(p[:n], func(p []byte) { b.Write(p) })
		}
	}
}

func (u *udpRelay) downwards(back *net.UDPConn, to netip.AddrPort) {
	for {
		p := make([]byte, packet)
		n, err := back.Read(p)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil { // else the host's port is closed: a packet lost
			u.down.send(p[:n], func(p []byte) { u.front.WriteToUDPAddrPort(p, to) })
		}
	}
}

// relayTCP makes a relay to the TCP address host. It only delays: a stream's
// bytes can be neither lost nor shaped as the packets below it would be.
func relayTCP(delay time.Duration, host string) (*relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &tcpRelay{relay: newRelay(weather{delay: delay}), l: l, host: host}
	t.address, t.relay.close = l.Addr().String(), t.close
	t.wg.Go(t.accept)
	return t.relay, nil
}

// A tcpRelay has a connection to the host for each that it accepts.
type tcpRelay struct {
	*relay
	l    net.Listener
	host string

	mu     sync.Mutex
	closed bool
	open   []net.Conn
}

func (t *tcpRelay) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, c := range t.open {
		c.Close() // as an end of the connection may have done
	}
	return t.l.Close()
}

func (t *tcpRelay) accept() {
	for {
		near, err := t.l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", t.host)
		if err != nil {
			near.Close()
			continue
		}
		t.join(near, far)
	}
}

// join carries what near and far say to each other, unless the relay is closed.
func (t *tcpRelay) join(near, far net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		near.Close()
		far.Close()
		return
	}
	t.open = append(t.open, near, far)
	t.wg.Go(func() { carry(t.up, near, far) })
	t.wg.Go(func() { carry(t.down, far, near) })
}

// carry ends with the connection that it reads.
func carry(l *lane, from, to net.Conn) {
	for {
		b := make([]byte, 64<<10)
		n, err := from.Read(b)
		if n > 0 {
			l.send(b[:n], func(b []byte) { to.Write(b) })
		}
		if err != nil {
			return
		}
	}
}
