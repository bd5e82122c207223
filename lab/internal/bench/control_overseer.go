package bench

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/lease"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// An overseer is the offload manager of one host, which it gives orders of its own accord: a real one probes only where it
// has to.
type overseer struct {
	ca     *identity.Authority
	at     net.Addr
	ln     *link.Listener
	run    wire.Run
	key    ed25519.PrivateKey
	signer *lease.Signer
	served sync.WaitGroup

	ready chan *control.Conversation // of the host, which has been adopted; capacity 1: nobody may wait for it yet
	dids  chan wire.Did              // capacity 1: who waits for it may have given up

	host   *control.Conversation // set by await
	orders uint64
}

const overseerEpoch = 1

// newOverseer listens for a host with a certificate of ca.
func newOverseer(ca *identity.Authority) (o *overseer, err error) {
	o = &overseer{ca: ca, run: wire.Run{1}, ready: make(chan *control.Conversation, 1), dids: make(chan wire.Did, 1)}
	if _, o.key, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	if o.signer, err = lease.NewSigner(o.key, ca.Name()); err != nil {
		return nil, err
	}
	conf, err := ca.TLS(identity.Manager, "overseer")
	if err != nil {
		return nil, err
	}
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	o.at = pc.LocalAddr()
	if o.ln, err = link.Listen(pc, conf); err != nil {
		return nil, errors.Join(err, pc.Close())
	}
	o.served.Go(o.serve)
	return o, nil
}

func (o *overseer) close() {
	o.ln.Close()
	o.served.Wait()
}

// serve adopts the first host that comes, and passes on its answers until the connection ends.
func (o *overseer) serve() {
	conn, err := o.ln.Accept(context.Background())
	if err != nil {
		return // closed
	}
	defer conn.Close("")
	st, err := conn.Accept(context.Background())
	if err != nil {
		return
	}
	c := control.Converse(st, control.FromHost)
	for {
		f, err := c.Next()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case wire.Holding:
			if c.Send(o.adopted()) == nil {
				o.ready <- c
			}
		case wire.Did:
			o.dids <- f
		}
	}
}

func (o *overseer) adopted() wire.Adopted {
	return wire.Adopted{
		Run: o.run, Epoch: overseerEpoch, Now: time.Now().UnixMilli(), Runs: []wire.Run{o.run}, Beat: time.Second,
		Keys: [][ed25519.PublicKeySize]byte{[ed25519.PublicKeySize]byte(o.key.Public().(ed25519.PublicKey))},
	}
}

// await waits for the host.
func (o *overseer) await(ctx context.Context) error {
	select {
	case o.host = <-o.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the host does not come to its manager: %w", context.Cause(ctx))
	}
}

// order gives an order and returns the answer. One goroutine calls it.
func (o *overseer) order(ctx context.Context, what wire.Order) (wire.Did, error) {
	o.orders++
	what.Number, what.Epoch = o.orders, overseerEpoch
	if err := o.host.Send(what); err != nil {
		return wire.Did{}, err
	}
	for {
		select {
		case did := <-o.dids:
			if did.Number == what.Number {
				return did, nil
			}
		case <-ctx.Done():
			return wire.Did{}, fmt.Errorf("the host does not carry out an order: %w", context.Cause(ctx))
		}
	}
}

// lease returns a lease of module on the host for a UE, which is a tenant of its own.
func (o *overseer) lease(ue, host string, module [32]byte) ([]byte, error) {
	var id lease.ID
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	domain := o.ca.Name()
	return o.signer.Sign(lease.New(lease.Lease{
		Run: o.run, Session: 1, Module: module,
		UE:   identity.ID{Authority: domain, Tenant: ue, Role: identity.UE, Name: ue}.String(),
		Host: identity.ID{Authority: domain, Role: identity.Host, Name: host}.String(),
	}, id, time.Now()))
}
