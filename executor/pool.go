package executor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
)

// ErrPoolClosed says that a call came to a [Pool] after its Close. It comes
// with ErrNotStarted.
var ErrPoolClosed = errors.New("pool is closed")

// PoolConfig configures a [Pool]. The zero value is ready to use.
type PoolConfig struct {
	// Instance configures each instance.
	Instance InstanceConfig
	// Size is the most instances at once. Zero means GOMAXPROCS: guests
	// compute, so more of them would only wait for a core.
	Size int
}

// PoolStats counts what a [Pool] did.
type PoolStats struct {
	Instances int    // alive
	Busy      int    // of them, running a call or being made
	Calls     uint64 // that got an instance
	Discarded uint64 // instances that a call broke
}

// A Pool keeps instances of one Module and shares them between calls. An
// instance that a call breaks is closed, and another is made when it is needed.
// A Pool may be used by many goroutines.
type Pool struct {
	// Set by NewPool, then constant.
	module Module
	cfg    PoolConfig
	quit   chan struct{} // closed by Close

	// tickets holds one for each instance in use; its capacity is cfg.Size.
	tickets chan struct{}

	closing sync.Once
	done    chan struct{} // closed once Close has closed the last instance

	mu    sync.Mutex
	idle  []Instance // last used last: its memory is warm
	stats PoolStats
}

// NewPool returns a pool of instances of m, which it does not own. It makes no
// instance yet; see [Pool.Warm].
func NewPool(m Module, cfg PoolConfig) *Pool {
	if cfg.Size <= 0 {
		cfg.Size = runtime.GOMAXPROCS(0)
	}
	return &Pool{
		module:  m,
		cfg:     cfg,
		quit:    make(chan struct{}),
		tickets: make(chan struct{}, cfg.Size),
		done:    make(chan struct{}),
	}
}

// Call runs guest function fn on request in an instance of the pool, and gives
// the reply to use. queue is the time until an instance was had, run the
// guest's, spans the parts of it that host functions reported. The reply's
// Payload is valid until use returns; the instance is held until then.
//
// Call returns the error of use, or that of [Instance].Call. One that is
// ErrNotStarted came before the guest function was entered; a ctx that ends
// while the call waits gives such an error.
func (p *Pool) Call(ctx context.Context, fn uint32, request []byte,
	use func(reply Reply, queue, run time.Duration, spans []Span) error) error {
	begin := time.Now()
	in, err := p.take(ctx)
	if err != nil {
		return err
	}
	sound := false
	defer func() { p.give(in, sound) }()
	var spans []Span
	entered := time.Now()
	reply, err := in.Call(WithSpans(ctx, &spans), fn, request)
	if err != nil {
		sound = errors.Is(err, ErrNotStarted)
		return err
	}
	sound = reply.Status != abi.Panic
	return use(reply, entered.Sub(begin), time.Since(entered), spans)
}

// Warm makes instances until there are n of them, at most the pool's size, so
// that the first calls need not wait for that.
func (p *Pool) Warm(ctx context.Context, n int) error {
	n = min(n, p.cfg.Size)
	for range n {
		if err := p.enter(ctx); err != nil {
			return err
		}
		if !p.reserve(n) {
			p.leave()
			return nil
		}
		in, err := p.grow(ctx)
		if err != nil {
			return err
		}
		p.give(in, true)
	}
	return nil
}

// Close waits until the running calls have ended and closes the instances.
// Calls that wait for an instance, and later ones, get ErrPoolClosed.
func (p *Pool) Close() {
	p.closing.Do(func() {
		close(p.quit)
		for range p.cfg.Size {
			p.tickets <- struct{}{}
		}
		for _, in := range p.idle {
			in.Close()
		}
		p.mu.Lock()
		p.idle, p.stats.Instances, p.stats.Busy = nil, 0, 0
		p.mu.Unlock()
		close(p.done)
	})
	<-p.done
}

// Stats returns what the pool did so far.
func (p *Pool) Stats() PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// take gets an instance, idle or made for the purpose.
func (p *Pool) take(ctx context.Context) (Instance, error) {
	if err := p.enter(ctx); err != nil {
		return nil, err
	}
	in := p.pop()
	if in == nil {
		var err error
		if in, err = p.grow(ctx); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	p.stats.Calls++
	p.mu.Unlock()
	return in, nil
}

// enter gets a ticket.
func (p *Pool) enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrNotStarted, context.Cause(ctx))
	}
	select {
	case p.tickets <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: no instance came free: %w", ErrNotStarted, context.Cause(ctx))
	case <-p.quit:
		return fmt.Errorf("%w: %w", ErrNotStarted, ErrPoolClosed)
	}
}

func (p *Pool) leave() { <-p.tickets }

// pop returns an idle instance or counts one more, to be made, and returns nil.
func (p *Pool) pop() Instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Busy++
	n := len(p.idle)
	if n == 0 {
		p.stats.Instances++
		return nil
	}
	in := p.idle[n-1]
	p.idle = p.idle[:n-1]
	return in
}

// reserve counts one more instance, to be made, unless there are n.
func (p *Pool) reserve(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stats.Instances >= n {
		return false
	}
	p.stats.Instances++
	p.stats.Busy++
	return true
}

// grow makes the instance that was counted. The caller has a ticket, which is
// gone when grow fails.
func (p *Pool) grow(ctx context.Context) (Instance, error) {
	in, err := p.module.Instantiate(ctx, p.cfg.Instance)
	if err == nil {
		return in, nil
	}
	p.mu.Lock()
	p.stats.Instances--
	p.stats.Busy--
	p.mu.Unlock()
	p.leave()
	return nil, fmt.Errorf("%w: make an instance: %w", ErrNotStarted, err)
}

// give takes an instance back, which is idle then if it is sound.
func (p *Pool) give(in Instance, sound bool) {
	if !sound {
		in.Close()
	}
	p.mu.Lock()
	p.stats.Busy--
	if sound {
		p.idle = append(p.idle, in)
	} else {
		p.stats.Instances--
		p.stats.Discarded++
	}
	p.mu.Unlock()
	p.leave()
}
