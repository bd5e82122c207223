//go:build cgo && opencv

package opencv

import (
	"context"
	"sync/atomic"
)

// A pool holds a model's networks: at most cap(free), made on demand. Each is
// a token in one of two channels, or in use, or being made.
type pool struct {
	free  chan network  // ready to use
	unset chan struct{} // not made yet
	load  func() (network, error)
	made  atomic.Bool // a network has been made
	quit  <-chan struct{}
}

func newPool(n int, load func() (network, error), quit <-chan struct{}) *pool {
	p := &pool{free: make(chan network, n), unset: make(chan struct{}, n), load: load, quit: quit}
	for range n {
		p.unset <- struct{}{}
	}
	return p
}

// get takes a network: one that is ready, else one that it makes, else the
// first that another gives back.
func (p *pool) get(ctx context.Context) (network, error) {
	if err := context.Cause(ctx); err != nil {
		return network{}, err
	}
	select {
	case <-p.quit:
		return network{}, ErrClosed
	case n := <-p.free:
		return n, nil
	default:
	}
	// A network came back, one may be made, the backend closes, the caller gives up.
	select {
	case n := <-p.free:
		return n, nil
	case <-p.unset:
		return p.make()
	case <-p.quit:
		return network{}, ErrClosed
	case <-ctx.Done():
		return network{}, context.Cause(ctx)
	}
}

// put gives back what get returned.
func (p *pool) put(n network) { p.free <- n }

// make makes a network. The caller has taken its token from unset.
func (p *pool) make() (network, error) {
	n, err := p.load()
	if err != nil {
		p.unset <- struct{}{}
		return network{}, err
	}
	p.made.Store(true)
	return n, nil
}

// first makes a network if none has ever been made. Two callers at once may
// make one each, as far as the pool allows.
func (p *pool) first() error {
	if p.made.Load() {
		return nil
	}
	return p.warm(context.Background(), 1)
}

// warm takes and gives back n networks, at most all, so that n are ready.
func (p *pool) warm(ctx context.Context, n int) error {
	var nets []network
	defer func() {
		for _, n := range nets {
			p.put(n)
		}
	}()
	for range min(n, cap(p.free)) {
		n, err := p.get(ctx)
		if err != nil {
			return err
		}
		nets = append(nets, n)
	}
	return nil
}

// drain closes all networks, once each is free. It comes after quit is closed.
func (p *pool) drain() {
	for range cap(p.free) {
		select {
		case n := <-p.free:
			n.close()
		case <-p.unset:
		}
	}
}
