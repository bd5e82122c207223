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
	tr    *quic.Transport
	ln    *quic.EarlyListener
	ready chan *quic.Conn
	ended chan struct{} // closed by run
	err   error         // why, set before
	wg    sync.WaitGroup

	strangers strangers
	gate      *gate
	windows   windows
}

// Listen accepts connections on pc, which belongs to the listener from then on.
func Listen(pc net.PacketConn, conf *tls.Config) (*Listener, error) {
	l := &Listener{ready: make(chan *quic.Conn), ended: make(chan struct{})}
	s := newSocket(pc)
	sl, conn := newSlot(s)
	sl.steady.Store(true)
	l.pc, l.strangers.log, l.gate = conn, s.log, newGate(s.log)
	sl.sends = l.gate.sent
	l.tr = &quic.Transport{Conn: l.pc, StatelessResetKey: resetKey(conf, pc.LocalAddr()), ConnContext: l.watch, VerifySourceAddress: l.gate.verify}
	var err error
	qconf := quicConfig()
	qconf.AllowConnectionWindowIncrease = l.windows.allow
	if l.ln, err = l.tr.ListenEarly(conf, qconf); err != nil {
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
	if !qc.ConnectionState().Used0RTT {
		select {
		case <-qc.HandshakeComplete():
		case <-qc.Context().Done():
			return
		}
	}
	if checkVersion(qc, "host", "UE") != nil {
		l.hand(context.Background(), qc)
		return
	}
	l.hand(qc.Context(), qc)
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
		return &Conn{&quicConn{qc: qc, windows: &l.windows}}, nil
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
