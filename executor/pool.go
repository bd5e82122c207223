package executor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
)

// ErrPoolClosed says that the [Pool] of a call is closed. The error is also
// ErrNotStarted.
var ErrPoolClosed = errors.New("pool is closed")

// PoolConfig configures a [Pool]. The zero value is ready to use.
type PoolConfig struct {
	// Instance configures each instance.
	Instance InstanceConfig
	// Size bounds the number of instances. Zero means GOMAXPROCS: guests compute,
	// so more of them would only wait for a core.
	Size int
	// Keep is the number of instances that stay open however long they are idle. Zero
	// means 1, and a negative number means none.
	Keep int
	// Idle is the time after which other idle instances are closed. Zero means 30 s.
	Idle time.Duration
	// Turns shares cores between the calls of several pools. A call takes its turn
	// after it has an instance. Nil means that cores are not counted.
	Turns *Turns
}

func (c PoolConfig) withDefaults() PoolConfig {
	if c.Size <= 0 {
		c.Size = runtime.GOMAXPROCS(0)
	}
	if c.Keep == 0 {
		c.Keep = 1
	}
	c.Keep = max(c.Keep, 0)
	if c.Idle <= 0 {
		c.Idle = 30 * time.Second
	}
	return c
}

// PoolStats counts what a [Pool] did.
type PoolStats struct {
	Instances int    // instances that exist or are being made
	Busy      int    // those of them that run a call or are being made
	Calls     uint64 // calls that got an instance
	Made      uint64 // instances made so far
	Discarded uint64 // those of them that a call broke
	Retired   uint64 // those of them that were closed because nobody needed them
}

// An Answer is the outcome of a call in a [Pool].
type Answer struct {
	Reply
	Queue time.Duration // the wait for an instance and for a core
	Run   time.Duration // the time in the instance
	Bill  Bill          // the cost of this call
}

// A Pool shares instances of one Module between calls. It makes an instance when a
// call finds none idle, closes those that a call broke, and closes idle ones after a
// while. Waiting calls are served in the order in which they came. A Pool may be used by
// many goroutines.
type Pool struct {
	// Set by NewPool, then constant.
	module Module
	cfg    PoolConfig

	mu      sync.Mutex
	closed  bool
	idle    []idleInstance // last used last: its memory is warm
	closing int            // instances that nobody needed, until they are closed
	waiting []chan Instance
	stats   PoolStats
	retire  *time.Timer
	empty   *sync.Cond // for Close: signalled when an instance is no longer busy, or closed
}

type idleInstance struct {
	Instance
	since time.Time
}

// NewPool returns a pool without instances; see [Pool.Warm]. The caller closes m, after
// the pool.
func NewPool(m Module, cfg PoolConfig) *Pool {
	p := &Pool{module: m, cfg: cfg.withDefaults()}
	p.empty = sync.NewCond(&p.mu)
	p.cfg.Instance.Tenant.join(p)
	return p
}

// Call runs guest function fn on request in an instance of the pool, and passes the
// answer to use. The instance is busy, and the Payload is valid, until use returns. The
// account of ctx is charged, whether the call succeeds or
// not.
//
// Call returns the error of [Instance].Call or of use. When ctx ends while the call
// waits for an instance or a core, the error is ErrNotStarted.
func (p *Pool) Call(ctx context.Context, fn uint32, request []byte, use func(Answer) error) error {
	begin := time.Now()
	in, err := p.take(ctx)
	if err != nil {
		return err
	}
	sound := true
	ctx, done, err := p.turn(ctx)
	if err != nil {
		p.give(in, sound)
		return err
	}
	defer done()
	defer func() {
		if !sound { // closing it is work, too, and can wait
			CallOf(ctx).yield(ctx)
		}
		p.give(in, sound)
	}()
	entered := time.Now()
	reply, err := in.Call(ctx, fn, request)
	a := Answer{Reply: reply, Queue: entered.Sub(begin), Run: time.Since(entered), Bill: in.Last()}
	AccountOf(ctx).Charge(a.Bill)
	if err != nil {
		sound = errors.Is(err, ErrNotStarted) || errors.Is(err, ErrTooLarge)
		return err
	}
	sound = reply.Status != abi.Panic
	return use(a)
}

// instantiate makes an instance, in a turn of its own.
func (p *Pool) instantiate(ctx context.Context) (Instance, error) {
	ctx, done, err := p.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return p.module.Instantiate(ctx, p.cfg.Instance)
}

// turn takes the call's turn on a core, where cores are counted.
func (p *Pool) turn(ctx context.Context) (_ context.Context, done func(), err error) {
	if p.cfg.Turns == nil {
		return ctx, func() {}, nil
	}
	turn, err := p.cfg.Turns.Take(ctx, p.cfg.Instance.Tenant)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: no core came free: %w", ErrNotStarted, err)
	}
	if c := CallOf(ctx); c != nil {
		c.Turn = turn
		return ctx, turn.Done, nil
	}
	return WithCall(ctx, &Call{Turn: turn}), turn.Done, nil
}

// Warm makes instances until the pool has n, or as many as its size allows, so that
// the first calls need not wait for them.
func (p *Pool) Warm(ctx context.Context, n int) error {
	for p.reserve(min(n, p.cfg.Size)) {
		in, err := p.make(ctx)
		if err != nil {
			return err
		}
		p.give(in, true)
	}
	return nil
}

// Close waits for the running calls to end and closes all instances. Waiting calls and
// later ones return ErrPoolClosed.
func (p *Pool) Close() {
	p.cfg.Instance.Tenant.part(p)
	p.mu.Lock()
	p.closed = true
	if p.retire != nil {
		p.retire.Stop()
	}
	for _, w := range p.waiting {
		close(w)
	}
	p.waiting = nil
	for p.stats.Busy+p.closing > 0 {
		p.empty.Wait()
	}
	left := p.idle
	p.idle, p.stats.Instances = nil, 0
	p.mu.Unlock()
	closeAll(left)
}

// Stats returns the counts of the pool.
func (p *Pool) Stats() PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// take gets an instance: idle, or made for the purpose, or given by another call.
func (p *Pool) take(ctx context.Context) (Instance, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotStarted, context.Cause(ctx))
	}
	p.mu.Lock()
	switch n := len(p.idle); {
	case p.closed:
		p.mu.Unlock()
		return nil, fmt.Errorf("%w: %w", ErrNotStarted, ErrPoolClosed)
	case n > 0:
		defer p.mu.Unlock()
		return p.idleLocked(), nil
	case p.stats.Instances < p.cfg.Size:
		p.countLocked()
		p.stats.Calls++
		p.mu.Unlock()
		return p.grow(ctx)
	}
	w := p.queueLocked()
	p.mu.Unlock()
	return p.await(ctx, w)
}

// grow makes an instance that was counted. Where the tenant's quota is used up, it
// closes one that another pool of the tenant does not need, or waits for one of
// this pool.
func (p *Pool) grow(ctx context.Context) (Instance, error) {
	for {
		in, err := p.instantiate(ctx)
		if err == nil {
			return in, nil
		}
		full := errors.Is(err, ErrQuota) && !errors.Is(err, errNoFuel)
		if full && p.cfg.Instance.Tenant.reclaim(p) {
			continue
		}
		p.mu.Lock()
		p.stats.Instances--
		p.stats.Made--
		p.stats.Busy--
		p.stats.Calls--
		if full && p.stats.Instances > 0 && !p.closed {
			if len(p.idle) > 0 { // it came free meanwhile
				defer p.mu.Unlock()
				return p.idleLocked(), nil
			}
			w := p.queueLocked()
			p.mu.Unlock()
			return p.await(ctx, w)
		}
		p.vacantLocked()
		p.mu.Unlock()
		return nil, fmt.Errorf("%w: make an instance: %w", ErrNotStarted, err)
	}
}

// await waits for what w brings: an instance, or nil for the right to make one.
func (p *Pool) await(ctx context.Context, w chan Instance) (Instance, error) {
	select {
	case in, ok := <-w:
		return p.got(ctx, in, ok)
	case <-ctx.Done():
	}
	p.mu.Lock()
	i := slices.Index(p.waiting, w)
	if i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	p.mu.Unlock()
	if i < 0 { // it was served just then
		in, ok := <-w
		return p.got(ctx, in, ok)
	}
	return nil, fmt.Errorf("%w: no instance came free: %w", ErrNotStarted, context.Cause(ctx))
}

func (p *Pool) got(ctx context.Context, in Instance, ok bool) (Instance, error) {
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: %w", ErrNotStarted, ErrPoolClosed)
	case in == nil:
		return p.grow(ctx)
	}
	return in, nil
}

// give takes an instance back, for who waits longest if it is sound.
func (p *Pool) give(in Instance, sound bool) {
	if !sound {
		in.Close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Busy--
	p.empty.Broadcast()
	switch {
	case !sound:
		p.stats.Instances--
		p.stats.Discarded++
		p.vacantLocked()
	case len(p.waiting) > 0:
		w := p.waiting[0]
		p.waiting = p.waiting[1:]
		p.takenLocked()
		w <- in
	default:
		p.idle = append(p.idle, idleInstance{in, time.Now()})
		p.scheduleLocked()
	}
}

// vacantLocked lets who waits longest make an instance in place of one that is gone.
func (p *Pool) vacantLocked() {
	p.empty.Broadcast()
	if len(p.waiting) == 0 || p.stats.Instances >= p.cfg.Size {
		return
	}
	w := p.waiting[0]
	p.waiting = p.waiting[1:]
	p.countLocked()
	p.stats.Calls++
	w <- nil
}

// idleLocked takes the instance that was used last; there is one.
func (p *Pool) idleLocked() Instance {
	n := len(p.idle) - 1
	in := p.idle[n].Instance
	p.idle = p.idle[:n]
	p.takenLocked()
	return in
}

func (p *Pool) queueLocked() chan Instance {
	w := make(chan Instance, 1) // who serves it does not wait for it
	p.waiting = append(p.waiting, w)
	return w
}

// takenLocked counts a call that got an instance.
func (p *Pool) takenLocked() {
	p.stats.Calls++
	p.stats.Busy++
}

// countLocked counts an instance that is going to be made.
func (p *Pool) countLocked() {
	p.stats.Instances++
	p.stats.Made++
	p.stats.Busy++
}

// reserve counts one more instance, to be made, unless there are n.
func (p *Pool) reserve(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.stats.Instances >= n {
		return false
	}
	p.countLocked()
	return true
}

// make makes an instance that reserve counted, for no call.
func (p *Pool) make(ctx context.Context) (Instance, error) {
	in, err := p.instantiate(ctx)
	if err == nil {
		return in, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Instances--
	p.stats.Made--
	p.stats.Busy--
	p.vacantLocked()
	return nil, fmt.Errorf("%w: make an instance: %w", ErrNotStarted, err)
}

// scheduleLocked has retireIdle run when the next instance has been idle for long.
func (p *Pool) scheduleLocked() {
	if p.closed || len(p.idle) <= p.cfg.Keep {
		return
	}
	wait := p.cfg.Idle - time.Since(p.idle[0].since)
	if p.retire == nil {
		p.retire = time.AfterFunc(wait, p.retireIdle)
	} else {
		p.retire.Reset(wait)
	}
}

// retireIdle closes the instances that have been idle for long.
func (p *Pool) retireIdle() {
	p.mu.Lock()
	n := 0
	for n < len(p.idle)-p.cfg.Keep && time.Since(p.idle[n].since) >= p.cfg.Idle {
		n++
	}
	old := p.retireLocked(n)
	p.scheduleLocked()
	p.mu.Unlock()
	p.close(old)
}

// closeIdle closes an idle instance, and says whether there was one.
func (p *Pool) closeIdle() bool {
	p.mu.Lock()
	old := p.retireLocked(min(1, len(p.idle)))
	p.mu.Unlock()
	p.close(old)
	return len(old) > 0
}

// retireLocked takes out the n that have been idle for longest, which the caller
// gives to close once p.mu is free.
func (p *Pool) retireLocked(n int) []idleInstance {
	old := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	p.stats.Instances -= n
	p.stats.Retired += uint64(n)
	p.closing += n
	return old
}

// close closes instances that retireLocked took out.
func (p *Pool) close(retired []idleInstance) {
	closeAll(retired)
	p.mu.Lock()
	p.closing -= len(retired)
	p.empty.Broadcast()
	p.mu.Unlock()
}

func closeAll(instances []idleInstance) {
	for _, in := range instances {
		in.Close()
	}
}
