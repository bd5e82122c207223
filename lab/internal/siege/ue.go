package siege

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"

	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// A UE is a connection to an edge host, in the hands of whoever has them: it sends
// what it is told, also what no UE of ours would. It may be used by many goroutines.
type UE struct {
	*link.Conn
	// Welcome is what the host answered to the UE's hello.
	Welcome wire.Welcome
}

// A Way leads to a host.
type Way struct {
	Host string // its address
	From net.IP // the UE's own; nil: as the system chooses
}

// The networks of UEs on the host's machine.
const (
	ofAttackers = 1
	ofQuiet     = 2
)

// WayOfQuiet is that of the ith quiet UE: each has an address of its own.
func WayOfQuiet(host string, i int) Way { return wayFrom(host, ofQuiet, i) }

// wayFrom returns the way of the ith UE of a network of this machine. On Linux all of 127.0.0.0/8 belongs to it: a host on
// 127.0.0.1 sees each at an address of its own.
func wayFrom(host string, network, i int) Way {
	at, err := netip.ParseAddrPort(host)
	if err != nil || runtime.GOOS != "linux" || at.Addr() != netip.AddrFrom4([4]byte{127, 0, 0, 1}) {
		return Way{Host: host}
	}
	return Way{host, net.IPv4(127, 0, byte(network), byte(1+i%250))}
}

// dial connects over TCP or UDP.
func (w Way) dial(ctx context.Context, network string) (net.Conn, error) {
	var d net.Dialer
	switch {
	case w.From == nil:
	case network == "udp":
		d.LocalAddr = &net.UDPAddr{IP: w.From}
	default:
		d.LocalAddr = &net.TCPAddr{IP: w.From}
	}
	return d.DialContext(ctx, network, w.Host)
}

// Dial connects over QUIC, from a port of its own, and says hello for a session of its own.
func Dial(ctx context.Context, way Way, conf *tls.Config) (*UE, error) {
	c, err := dialQUIC(ctx, way, conf)
	if err != nil {
		return nil, err
	}
	return greet(ctx, c)
}

// DialTCP is Dial over TCP.
func DialTCP(ctx context.Context, way Way, conf *tls.Config) (*UE, error) {
	tcp, err := way.dial(ctx, "tcp")
	if err != nil {
		return nil, err
	}
	c, err := link.DialTCP(ctx, tcp, tcp.RemoteAddr(), conf)
	if err != nil {
		return nil, err
	}
	return greet(ctx, c)
}

func dialQUIC(ctx context.Context, way Way, conf *tls.Config) (*link.Conn, error) {
	addr, err := net.ResolveUDPAddr("udp", way.Host)
	if err != nil {
		return nil, err
	}
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: way.From})
	if err != nil {
		return nil, err
	}
	return link.Dial(ctx, pc, addr, conf)
}

// greet says hello on c. The stream stays open, as that of a UE does.
func greet(ctx context.Context, c *link.Conn) (*UE, error) {
	u := &UE{Conn: c}
	st, err := c.Open(ctx)
	if err == nil {
		u.Welcome, err = control.Hello(ctx, st, wire.Hello{Name: "ue", Session: rand.Uint64() | 1})
	}
	if err != nil {
		c.Close("")
		return nil, err
	}
	return u, nil
}

// Deploy makes wasm ready on the host: from the host's cache, else it sends the module.
func (u *UE) Deploy(ctx context.Context, wasm []byte) error {
	digest := sha256.Sum256(wasm)
	st, err := u.Open(ctx)
	if err != nil {
		return err
	}
	ready, err := control.Have(ctx, st, digest)
	if err != nil || ready {
		return err
	}
	return u.Put(ctx, digest, wasm)
}

// Put sends a module.
func (u *UE) Put(ctx context.Context, digest control.Digest, wasm []byte) error {
	st, err := u.Open(ctx)
	if err != nil {
		return err
	}
	return control.Put(ctx, st, digest, wasm)
}

// with opens a stream, has f use it, and gives it up then, or as soon as ctx ends.
func (u *UE) with(ctx context.Context, f func(context.Context, link.Stream) error) error {
	st, err := u.Open(ctx)
	if err != nil {
		return err
	}
	defer st.Reset()
	defer context.AfterFunc(ctx, st.Reset)()
	return f(ctx, st)
}

// Attach makes a far endpoint whose first guest function is fn, and returns its stream.
func (u *UE) Attach(ctx context.Context, a wire.Attach) (link.Stream, error) {
	st, err := u.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, st.Reset)()
	if _, err = st.Write(wire.AppendAttach(nil, a)); err == nil {
		err = expectAttached(st)
	}
	if err != nil {
		st.Reset()
		return nil, err
	}
	return st, nil
}

// attach makes a far endpoint of Guest, unless q names another module, under a number of its own.
func attach(ctx context.Context, u *UE, q wire.Attach) (id uint64, st link.Stream, err error) {
	q.ID, q.Window = rand.Uint64(), 64
	if q.Module == ([sha256.Size]byte{}) {
		q.Module = guestDigest
	}
	st, err = u.Attach(ctx, q)
	return q.ID, st, err
}

func expectAttached(st link.Stream) error {
	switch t, err := wire.ReadType(st); {
	case err != nil:
		return err
	case t == wire.TypeAttached:
		_, err := wire.ReadCredit(st)
		return err
	case t == wire.TypeFail:
		return readFail(st)
	default:
		return fmt.Errorf("attach was answered with frame 0x%02x", t)
	}
}

func readFail(st link.Stream) error {
	fail, err := wire.ReadFail(st)
	if err != nil {
		return err
	}
	return fail
}

// Exchange makes a call on st and returns the host's Result and the reply. Its error is the
// host's *wire.Fail, after which st serves the next call, or that of the stream.
func Exchange(st link.Stream, c wire.Call, request []byte) (res wire.Result, reply []byte, err error) {
	c.Size = len(request)
	if _, err := st.Write(append(wire.AppendCall(nil, c), request...)); err != nil {
		return res, nil, err
	}
	t, err := wire.ReadType(st)
	if err != nil {
		return res, nil, err
	}
	switch t {
	case wire.TypeFail:
		return res, nil, readFail(st)
	case wire.TypeResult:
	default:
		return res, nil, fmt.Errorf("a call was answered with frame 0x%02x", t)
	}
	if res, err = wire.ReadResult(st); err != nil {
		return res, nil, err
	}
	reply, err = wire.ReadPayload(st, nil, res.Size)
	return res, reply, err
}

// request is a request of the guest: an argument, and what follows.
func request(argument int, body ...byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(argument)), body...)
}

// Answer returns the request that has the guest work for a number of rounds and then answer with
// body. It is one of guest function 0.
func Answer(rounds int, body []byte) []byte { return request(rounds, body...) }

// isFail says whether err is an answer of the host.
func isFail(err error) bool {
	var fail *wire.Fail
	return errors.As(err, &fail)
}
