package link

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"sync"

	"github.com/quic-go/quic-go"
)

// A Listener accepts connections.
type Listener struct {
	pc    net.PacketConn
	conf  *tls.Config
	tr    *quic.Transport
	ln    *quic.EarlyListener
	ready chan *quic.Conn
	ended chan struct{} // closed by run
	err   error         // why, set before
	wg    sync.WaitGroup

	closing chan struct{} // closed by Close: no handshake waits any longer
	once    sync.Once     // closes closing

	strangers strangers
	gate      *gate
	opening   openings
	windows   windows
	young     young
}

// openings are what the handshakes of listeners may take of the machine, all together.
type openings struct {
	sieve      *sieve
	handshakes *queue
}

// Listen accepts connections on pc, which belongs to the listener from then on.
func Listen(pc net.PacketConn, conf *tls.Config) (*Listener, error) {
	return listen(pc, conf, openings{newSieve(), newQueue(newHandshakes())})
}

// Also accepts connections on a further socket, which belongs to the listener that it returns. What handshakes may take
// of the machine is for both together: more sockets let nobody ask for more. Else the two have nothing in common.
func (l *Listener) Also(pc net.PacketConn) (*Listener, error) { return listen(pc, l.conf, l.opening) }

func listen(pc net.PacketConn, conf *tls.Config, opening openings) (*Listener, error) {
	l := &Listener{conf: conf, opening: opening, ready: make(chan *quic.Conn), ended: make(chan struct{}), closing: make(chan struct{})}
	s := newSocket(pc)
	if b, ok := s.batch.(sifting); ok { // others read packet by packet
		b.siftBy(opening.sieve.passes)
	}
	sl, conn := newSlot(s)
	sl.steady.Store(true)
	l.pc, l.strangers.log, l.gate = conn, s.log, newGate(s.log, opening.handshakes.pace)
	sl.sends = l.gate.sent
	l.tr = &quic.Transport{Conn: l.pc, StatelessResetKey: resetKey(conf, pc.LocalAddr()), ConnContext: l.watch, VerifySourceAddress: l.gate.verify}
	var err error
	qconf := quicConfig()
	qconf.AllowConnectionWindowIncrease = l.windows.allow
	if l.ln, err = l.tr.ListenEarly(opening.handshakes.queueing(conf, l.closing), qconf); err != nil {
		l.tr.Close()
		pc.Close()
		return nil, err
	}
	l.wg.Go(l.run)
	return l, nil
}

func (l *Listener) run() {
	defer close(l.ended)
	for {
		qc, err := l.ln.Accept(context.Background())
		if err != nil {
			l.err = err
			return
		}
		l.wg.Go(func() { l.admit(qc) })
	}
}

// admit gives qc to Accept once its UE is known: at the end of the handshake, or
// at once when the UE resumes and has sent something with its first packet. A UE that
// speaks another version is told so; Accept then gets a connection that has ended, whose
// Err says why.
func (l *Listener) admit(qc *quic.Conn) {
	if qc.ConnectionState().Used0RTT {
		l.wg.Go(func() { settled(qc) })
	} else if !settled(qc) {
		return
	}
	if checkVersion(qc, l.conf, false) != nil {
		l.hand(context.Background(), qc)
		return
	}
	l.hand(qc.Context(), qc)
}

// settled waits until the handshake is done, and says whether it came to that.
func settled(qc *quic.Conn) bool {
	select {
	case <-qc.HandshakeComplete():
		grown(qc.Context())
		return true
	case <-qc.Context().Done():
		return false
	}
}

// hand gives qc to Accept, unless ctx or the listener ends first.
func (l *Listener) hand(ctx context.Context, qc *quic.Conn) {
	select {
	case l.ready <- qc:
	case <-ctx.Done():
	case <-l.ended:
	}
}

// Accept returns the next connection. Its UE is known. Until the connection is Confirmed,
// the host may do for it only what the package's documentation says.
func (l *Listener) Accept(ctx context.Context) (*Conn, error) {
	select {
	case qc := <-l.ready:
		return &Conn{&quicConn{qc: qc, conf: l.conf, windows: &l.windows}}, nil
	case <-l.ended:
		return nil, l.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Addr returns the address that the listener listens on.
func (l *Listener) Addr() net.Addr { return l.ln.Addr() }

// Close ends the listener and all of its connections. Their peers are not told.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closing) })
	err := errors.Join(l.ln.Close(), l.tr.Close(), l.pc.Close())
	l.wg.Wait()
	return err
}

// resetKey returns the key with which a host tells UEs that it does not know their
// connections any longer (RFC 9000 section 10.3). It is made from the host's private key,
// so it is the same after a restart and nobody else can make it. Machines and addresses
// that share a certificate have different keys: otherwise an attacker could make one of
// them end another's connections (section 21.11). It is nil if the private key
// cannot be read; then a UE finds out by silence.
func resetKey(conf *tls.Config, addr net.Addr) *quic.StatelessResetKey {
	if len(conf.Certificates) == 0 {
		return nil
	}
	secret, err := x509.MarshalPKCS8PrivateKey(conf.Certificates[0].PrivateKey)
	if err != nil {
		return nil
	}
	machine, _ := os.Hostname()
	key, err := hkdf.Key(sha256.New, secret, nil, "bungee stateless reset "+machine+" "+addr.String(), 32)
	if err != nil {
		return nil
	}
	return (*quic.StatelessResetKey)(key)
}
