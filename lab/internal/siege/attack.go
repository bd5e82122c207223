package siege

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// An Attack is one way to harm a host.
type Attack struct {
	Name string
	// Case is the case of an edge host's faults that it comes from, such as "H1", or that
	// it is a brother of.
	Case string
	run  func(ctx context.Context, a *attacker)
}

// An attacker makes one attack with a certificate of its own.
type attacker struct {
	way  Way
	conf *tls.Config
	// network is the name of one that the host has; "": it has none.
	network string
	// serial makes the modules of this process distinct.
	serial *atomic.Uint64
	// acts counts what was done: what that is, the attack says.
	acts *atomic.Uint64
	// muster has this one begin with all others, and entered tells it that this one is ready. Nil: it begins at once.
	muster  *muster
	entered func()
}

func (a *attacker) act() { a.acts.Add(1) }

// enter tells the muster that this attacker has what it needs.
func (a *attacker) enter() {
	if a.entered != nil {
		a.entered()
	}
}

// distinct returns wasm as a module that no host has seen.
func (a *attacker) distinct(wasm []byte) []byte { return Distinct(wasm, a.serial.Add(1)) }

// A dialer is Dial or DialTCP.
type dialer func(context.Context, Way, *tls.Config) (*UE, error)

// A plan says what an attacker does on its connections. The zero value of conns and streams is one.
type plan struct {
	dial    dialer // nil: Dial
	conns   int
	streams int    // goroutines on each connection that do what is planned, again and again
	module  []byte // that each connection deploys first; nil: none
	do      func(ctx context.Context, u *UE) error
	// on is what is planned in place of do when that needs a stream, which is given up then.
	on func(ctx context.Context, st link.Stream) error
}

// regret is how long an attacker waits after something that failed, so that it does not spend its
// own core on a host that refuses at once.
const regret = 50 * time.Millisecond

// follow does what is planned until ctx ends. A connection that ends is made again.
func (a *attacker) follow(ctx context.Context, p plan) {
	if p.dial == nil {
		p.dial = Dial
	}
	if p.on != nil {
		p.do = func(ctx context.Context, u *UE) error { return u.with(ctx, p.on) }
	}
	n := max(1, p.conns)
	var left atomic.Int64
	left.Store(int64(n))
	each(n, func() {
		in := sync.OnceFunc(func() {
			if left.Add(-1) == 0 {
				a.enter()
			}
		})
		again(ctx, func() error { return a.visit(ctx, p, in) })
	})
}

// visit follows p on one connection until that ends, or ctx does. It calls in when there is the connection, and the module
// is on the host, and begins with all other attackers.
func (a *attacker) visit(ctx context.Context, p plan, in func()) error {
	u, err := p.dial(ctx, a.way, a.conf)
	if err != nil {
		return err
	}
	alive, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(ctx, func() { u.Close("") })()
	defer u.Close("")
	if p.module != nil {
		if err := u.Deploy(alive, p.module); err != nil {
			return err
		}
	}
	in()
	a.muster.await(alive)
	var work sync.WaitGroup
	work.Go(func() {
		select {
		case <-u.Done():
		case <-alive.Done():
		}
		end()
	})
	each(max(1, p.streams), func() { again(alive, func() error { return p.do(alive, u) }) })
	work.Wait()
	return u.Err()
}

// each runs n goroutines of f and waits for them.
func each(n int, f func()) {
	var all sync.WaitGroup
	for range n {
		all.Go(f)
	}
	all.Wait()
}

// again does f until ctx ends.
func again(ctx context.Context, f func() error) {
	for ctx.Err() == nil {
		if f() != nil {
			rest(ctx, regret)
		}
	}
}

// rest waits for d, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// patience is how long an attacker leaves something standing that the host waits for, before it
// gives it up and begins anew: longer than the host may wait for a frame.
const patience = 8 * time.Second

// stand opens a stream, sends frames and leaves it standing.
func (a *attacker) stand(ctx context.Context, u *UE, frames ...[]byte) error {
	st, err := u.Open(ctx)
	if err != nil {
		return err
	}
	return a.standOn(ctx, st, frames...)
}

// standOn sends frames on st and leaves it standing.
func (a *attacker) standOn(ctx context.Context, st link.Stream, frames ...[]byte) error {
	defer st.Reset()
	defer context.AfterFunc(ctx, st.Reset)()
	st.SetWriteDeadline(time.Now().Add(patience)) // a host that takes no more holds what it has
	a.act()
	for _, f := range frames {
		if _, err := st.Write(f); err != nil {
			break
		}
	}
	rest(ctx, patience)
	return nil
}

// exchange makes one call on a stream of its own and takes any answer for one.
func (a *attacker) exchange(ctx context.Context, u *UE, c wire.Call, request []byte) error {
	return u.with(ctx, func(_ context.Context, st link.Stream) error {
		_, _, err := Exchange(st, c, request)
		if err == nil || isFail(err) {
			a.act()
			return nil
		}
		return err
	})
}

// exchanges makes one call after the other on one stream, until it breaks.
func (a *attacker) exchanges(ctx context.Context, u *UE, c wire.Call, request []byte) error {
	return u.with(ctx, func(ctx context.Context, st link.Stream) error {
		for ctx.Err() == nil {
			if _, _, err := Exchange(st, c, request); err != nil && !isFail(err) {
				return err
			}
			a.act()
		}
		return nil
	})
}

// guestCall is a call of a function of Guest.
func guestCall(fn uint32, deadline time.Duration) wire.Call {
	return wire.Call{Module: guestDigest, Fn: fn, Deadline: deadline}
}

var guestDigest = sha256.Sum256(Guest)

// frame is a call with its request.
func frame(c wire.Call, request []byte) []byte {
	c.Size = len(request)
	return append(wire.AppendCall(nil, c), request...)
}

// zeros are the bytes of attackers that have nothing to say.
var zeros = sync.OnceValue(func() []byte { return make([]byte, wire.MaxPayload) })
