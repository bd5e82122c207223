package host_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/lease"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/radio"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

var (
	edgeAddr    = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 4433}
	managerAddr = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 9), Port: 4430}
	secondAddr  = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 10), Port: 4430}
)

// A land has a managed host, managers that do as the test says, and UEs, in virtual time.
type land struct {
	t    *testing.T
	ca   *identity.Authority
	air  *radio.Air
	h    *host.Handler
	ends []func()

	mu    sync.Mutex
	ports int
	inUse map[int]bool // UDP ports of the host
}

// inLand runs f with a host whose managers are at managerAddr and secondAddr.
func inLand(t *testing.T, f func(t *testing.T, w *land)) { inLandOf(t, nil, f) }

// inLandWith does what inLand does, with ports for leases.
func inLandWith(t *testing.T, ports host.Ports, f func(t *testing.T, w *land)) {
	inLandOf(t, func(cfg *host.Config) { cfg.Manager.Ports = ports }, f)
}

// inLandOf is inLand with a host whose config is changed, unless change is nil.
func inLandOf(t *testing.T, change func(*host.Config), f func(t *testing.T, w *land)) {
	synctest.Test(t, func(t *testing.T) {
		radio.Begin()
		ca, err := identity.NewAuthority()
		if err != nil {
			t.Fatal(err)
		}
		w := &land{t: t, ca: ca, air: &radio.Air{OneWay: time.Millisecond}, inUse: map[int]bool{}}
		conf := w.tls(identity.Host, "edge-1")
		cfg := host.Config{
			Engine: echoEngine, TLS: conf, Calls: 2, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
			Manager: &host.Manager{
				Addresses: []string{managerAddr.String(), secondAddr.String()}, Labels: []string{"gpu=no"}, ListenAt: w.listenAt,
				Listen: func() (net.PacketConn, error) { return w.air.Endpoint(w.from(edgeAddr.IP)), nil },
				Dial: func(ctx context.Context, addr string) (net.Conn, error) {
					to, _ := net.ResolveTCPAddr("tcp", addr)
					return w.air.Dial(ctx, tcpOf(w.from(edgeAddr.IP)), to)
				},
			},
		}
		if change != nil {
			change(&cfg)
		}
		if w.h, err = host.New(cfg); err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- w.h.Serve(context.Background(), w.air.Endpoint(edgeAddr)) }()
		f(t, w)
		for _, end := range slices.Backward(w.ends) {
			end()
		}
		if err := errors.Join(w.h.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
}

func tcpOf(a *net.UDPAddr) *net.TCPAddr { return &net.TCPAddr{IP: a.IP, Port: a.Port} }

// from returns an address that nobody has used.
func (w *land) from(ip net.IP) *net.UDPAddr {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ports++
	return &net.UDPAddr{IP: ip, Port: 10_000 + w.ports}
}

// A boss is a manager that says what the test has it say, and keeps what the host says.
type boss struct {
	w      *land
	epoch  uint64
	run    wire.Run
	ahead  time.Duration // of its clock before the machine's
	key    ed25519.PrivateKey
	signer *lease.Signer
	runs   []wire.Run
	out    []string      // revoked
	beat   time.Duration // between beats; 0: 1 s

	heard  chan wire.ManagerFrame // all but beats
	beats  chan wire.Beat         // the last one
	refuse chan error             // a conversation has ended
	talk   *control.Conversation  // of the host, once it has registered
	leases byte
	orders uint64
	end    func()
}

// manage starts a manager. It adopts whoever registers.
func (w *land) manage(at *net.UDPAddr, epoch uint64, change func(*boss)) *boss {
	w.t.Helper()
	b := &boss{
		w: w, epoch: epoch, run: wire.Run{byte(epoch)}, key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)),
		heard: make(chan wire.ManagerFrame, 1000), beats: make(chan wire.Beat, 1), refuse: make(chan error, 10),
	}
	b.runs = []wire.Run{b.run}
	if change != nil {
		change(b)
	}
	var err error
	if b.signer, err = lease.NewSigner(b.key, w.ca.Name()); err != nil {
		w.t.Fatal(err)
	}
	ln, err := link.Listen(w.air.Endpoint(at), w.tls(identity.Manager, "m"))
	if err != nil {
		w.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept(context.Background())
			if err != nil {
				return
			}
			wg.Go(func() { b.serve(conn) })
		}
	})
	b.end = sync.OnceFunc(func() { ln.Close(); wg.Wait(); w.air.Leave(at) })
	w.ends = append(w.ends, b.end)
	return b
}

func (b *boss) serve(conn *link.Conn) {
	st, err := conn.Accept(context.Background())
	if err != nil {
		return
	}
	talk := control.Converse(st, control.FromHost)
	for {
		f, err := talk.Next()
		if err != nil {
			b.refuse <- err
			conn.Close("")
			return
		}
		if beat, ok := f.(wire.Beat); ok {
			select {
			case <-b.beats:
			default:
			}
			b.beats <- beat
			continue
		}
		b.heard <- f
		if _, ok := f.(wire.Holding); ok {
			b.talk = talk
			b.adopt()
		}
	}
}

func (b *boss) now() time.Time { return time.Now().Add(b.ahead) }

func (b *boss) adopt() {
	b.talk.Send(wire.Adopted{
		Run: b.run, Epoch: b.epoch, Now: b.now().UnixMilli(), Runs: b.runs,
		Keys: [][32]byte{[32]byte(b.key.Public().(ed25519.PublicKey))}, Revoked: b.out, Beat: cmp.Or(b.beat, time.Second),
	})
}

// hear returns the next frame of its kind that the host says.
func hear[T wire.ManagerFrame](b *boss) T {
	b.w.t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case f := <-b.heard:
			if f, ok := f.(T); ok {
				return f
			}
		case <-late:
			b.w.t.Fatalf("the host does not say %T within a minute", *new(T))
		}
	}
}

// met waits until the host obeys b.
func (b *boss) met() *boss {
	b.w.t.Helper()
	hear[wire.Holding](b)
	time.Sleep(100 * time.Millisecond)
	synctest.Wait()
	return b
}

// lease returns a lease of wasm for a UE, and its token.
func (b *boss) lease(ue string, change func(*lease.Lease)) (lease.Lease, []byte) {
	b.w.t.Helper()
	b.leases++
	l := lease.New(lease.Lease{
		Run: b.run, UE: ueID(b.w, ue).String(), Host: identity.ID{Authority: b.w.ca.Name(), Role: identity.Host, Name: "edge-1"}.String(),
		Session: 5, Module: sha256.Sum256(wasm),
	}, lease.ID{byte(b.epoch), b.leases}, b.now())
	if change != nil {
		change(&l)
	}
	token, err := b.signer.Sign(l)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return l, token
}

func ueID(w *land, name string) identity.ID {
	return identity.ID{Authority: w.ca.Name(), Tenant: name, Role: identity.UE, Name: name}
}

// order gives the host an order and returns its answer.
func (b *boss) order(o wire.Order) wire.Did {
	b.w.t.Helper()
	b.orders++
	o.Number = b.orders
	if o.Epoch == 0 {
		o.Epoch = b.epoch
	}
	if err := b.talk.Send(o); err != nil {
		b.w.t.Fatal(err)
	}
	did := hear[wire.Did](b)
	if did.Number != o.Number {
		b.w.t.Errorf("order %d is answered by %+v", o.Number, did)
	}
	return did
}

// nextBeat returns a beat that begins after the call.
func (b *boss) nextBeat() wire.Beat {
	b.w.t.Helper()
	select {
	case <-b.beats:
	default:
	}
	select {
	case beat := <-b.beats:
		return beat
	case <-time.After(time.Minute):
		b.w.t.Fatal("no beat within a minute")
		return wire.Beat{}
	}
}

func (w *land) tls(role identity.Role, name string) *tls.Config {
	w.t.Helper()
	conf, err := w.ca.TLS(role, name)
	if err != nil {
		w.t.Fatal(err)
	}
	return conf
}

// ue connects a UE to the host. It says Hello with the token, if there is one, and returns what the host answers.
func (w *land) ue(name string, token []byte) (*link.Conn, error) {
	w.t.Helper()
	c := w.connect(name)
	return c, hello(w.t, c, token)
}

func (w *land) connect(name string) *link.Conn {
	w.t.Helper()
	return w.connectTo(edgeAddr, name)
}

func (w *land) connectTo(at *net.UDPAddr, name string) *link.Conn {
	w.t.Helper()
	c, err := link.Dial(w.t.Context(), w.air.Endpoint(w.from(net.IPv4(10, 0, 0, 1))), at, w.tls(identity.UE, name))
	if err != nil {
		w.t.Fatal(err)
	}
	w.ends = append(w.ends, func() { c.Close("") })
	return c
}

func hello(t *testing.T, c *link.Conn, token []byte) error {
	t.Helper()
	st, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h := wire.Hello{Name: "ue", Session: 5}
	if token != nil {
		h.Extensions = h.Extensions.Append(wire.ExtensionLease, token)
	}
	_, err = control.Hello(t.Context(), st, h)
	return err
}

// refusedAs says whether err is a Fail of the code, whose text has the words.
func refusedAs(err error, code offload.Code, words string) bool {
	var f *wire.Fail
	return errors.As(err, &f) && f.Code == code && strings.Contains(f.Text, words)
}

// works says whether c can send the module, if it has none, and call it.
func works(t *testing.T, c *link.Conn) bool {
	t.Helper()
	ask(t, c, put(wasm), true)
	return bytes.HasSuffix(ask(t, c, call(wasm), true), []byte("hi"))
}
