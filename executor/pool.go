package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/cores"
)

// ErrPoolClosed says that the [Pool] of a call is closed. The error is also
// ErrNotStarted.
var ErrPoolClosed = errors.New("pool is closed")

// ErrWanted says that a run of [Pool.Spare] gave way to calls.
var ErrWanted = errors.New("calls want the core or the instance")

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
	// Turns shares cores between the calls of several pools. A call takes an instance
	// in its turn, so that those who wait for a core hold none. Nil means that cores are not counted.
	Turns *Turns
}

func (c PoolConfig) withDefaults() PoolConfig {
	if c.Size <= 0 {
		c.Size = cores.N()
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
	places chan struct{} // of calls that have, or wait in a turn for, an instance: Size at most
	shut   chan struct{} // closed by Close

	mu       sync.Mutex
	closed   bool            // no further call gets a place
	idle     []idleInstance  // last used last: its memory is warm
	closing  int             // instances that nobody needed, until they are closed
	waiting  []chan Instance // of calls that have a place
	giveUp   func()          // of the run of Spare
	entering int             // calls that wait for a place
	stats    PoolStats
	retire   *time.Timer
	empty    *sync.Cond // for Close: signalled when an instance is no longer busy, or closed
}

type idleInstance struct {
	Instance
	since time.Time
}

// NewPool returns a pool without instances; see [Pool.Warm]. The caller closes m, after
// the pool.
func NewPool(m Module, cfg PoolConfig) *Pool {
	p := &Pool{module: m, cfg: cfg.withDefaults(), shut: make(chan struct{})}
	p.places = make(chan struct{}, p.cfg.Size)
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
	if err := p.enter(ctx); err != nil {
		return err
	}
	defer p.leave()
	ctx, done, err := p.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	in, err := p.take(ctx)
	if err != nil {
		return err
	}
	return p.run(ctx, begin, in, fn, request, use)
}

// run runs a call, which came at begin, in an instance that it has taken, and gives that back.
func (p *Pool) run(ctx context.Context, begin time.Time, in Instance, fn uint32, request []byte, use func(Answer) error) error {
	sound := true
	defer func() {
		if !sound {
			shed(ctx, in)
		}
		p.give(in, sound)
	}()
	entered := time.Now()
	if c := CallOf(ctx); c != nil {
		c.Entered = entered
	}
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

// Spare is Call for a run that nobody waits for, one at a time. It takes only a core and an instance that are idle, or makes the
// first instance, and is stopped as soon as a call waits for either: the error is ErrWanted then. The time on a core is no
// tenant's. A run that is stopped costs the pool its instance.
func (p *Pool) Spare(ctx context.Context, fn uint32, request []byte, use func(Answer) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := p.spare(ctx, func() { cancel(ErrWanted) }, fn, request, use)
	if err != nil && context.Cause(ctx) == ErrWanted {
		return ErrWanted
	}
	return err
}

func (p *Pool) spare(ctx context.Context, giveUp func(), fn uint32, request []byte, use func(Answer) error) error {
	begin := time.Now()
	if !p.setSpare(giveUp) { // before it has a place: who finds none tells it, or is counted by then
		return ErrWanted
	}
	defer p.endSpare()
	select {
	case p.places <- struct{}{}:
		defer p.leave()
	default:
		return ErrWanted
	}
	call := &Call{Account: AccountOf(ctx)}
	if p.cfg.Turns != nil {
		if call.Turn = p.cfg.Turns.TakeSpare(nil, giveUp); call.Turn == nil {
			return ErrWanted
		}
		defer call.Turn.Done()
	}
	ctx = WithCall(ctx, call)
	in, err := p.takeSpare(ctx)
	if err != nil {
		return err
	}
	return p.run(ctx, begin, in, fn, request, use)
}

// takeSpare gets an idle instance, or makes the first one.
func (p *Pool) takeSpare(ctx context.Context) (Instance, error) {
	p.mu.Lock()
	switch {
	case p.entering > 0: // it has taken the place that one of them waits for
		p.mu.Unlock()
		return nil, ErrWanted
	case len(p.idle) > 0:
		defer p.mu.Unlock()
		return p.idleLocked(), nil
	case p.stats.Instances > 0:
		p.mu.Unlock()
		return nil, ErrWanted
	}
	p.countLocked()
	p.stats.Calls++
	p.mu.Unlock()
	return p.grow(ctx)
}

// setSpare says whom calls tell that wait for a place or an instance. It is false where there is one already, or the pool is closed.
func (p *Pool) setSpare(giveUp func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.giveUp != nil {
		return false
	}
	p.giveUp = giveUp
	return true
}

func (p *Pool) endSpare() {
	p.mu.Lock()
	p.giveUp = nil
	p.mu.Unlock()
}

// countEntering counts so many calls more that wait for a place.
func (p *Pool) countEntering(more int) {
	p.mu.Lock()
	p.entering += more
	p.mu.Unlock()
}

// tellSpare has the spare run end, if there is one.
func (p *Pool) tellSpare() {
	p.mu.Lock()
	giveUp := p.giveUp
	p.mu.Unlock()
	if giveUp != nil {
		giveUp()
	}
}

// enter waits for a place.
func (p *Pool) enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrNotStarted, context.Cause(ctx))
	}
	select {
	case <-p.shut:
		return fmt.Errorf("%w: %w", ErrNotStarted, ErrPoolClosed)
	default:
	}
	select {
	case p.places <- struct{}{}:
		return nil
	default:
	}
	p.countEntering(1)
	defer p.countEntering(-1)
	p.tellSpare()
	select {
	case p.places <- struct{}{}:
		return nil
	case <-p.shut:
		return fmt.Errorf("%w: %w", ErrNotStarted, ErrPoolClosed)
	case <-ctx.Done():
		return fmt.Errorf("%w: no instance came free: %w", ErrNotStarted, context.Cause(ctx))
	}
}

func (p *Pool) leave() { <-p.places }

// A Shedder is an [Instance] that can give its memory back a piece at a time.
type Shedder interface {
	// Shed gives back a piece of the memory of an instance that is closed next, and says whether
	// there is more.
	Shed() (more bool)
}

// shed gives back the memory of a broken instance: that is work, too, and can wait. The kernel
// takes some ms for 256 MiB, and who waits for the core need not.
func shed(ctx context.Context, in Instance) {
	call := CallOf(ctx)
	call.yield(ctx)
	if s, ok := in.(Shedder); ok {
		for s.Shed() {
			call.yield(ctx)
		}
	}
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
// the first calls need not wait for them. It makes n at most: where there is no room for all, those that are idle make room.
func (p *Pool) Warm(ctx context.Context, n int) error {
	for range n {
		if !p.reserve(min(n, p.cfg.Size)) {
			break
		}
		in, err := p.make(ctx)
		if err != nil {
			return err
		}
		p.give(in, true)
	}
	return nil
}

// Close waits for the running calls to end, and those that wait for a core, and closes all
// instances. Calls that wait for these to end, and later ones, return ErrPoolClosed.
func (p *Pool) Close() {
	p.cfg.Instance.Tenant.part(p)
	p.mu.Lock()
	again := p.closed
	p.closed = true
	if p.retire != nil {
		p.retire.Stop()
	}
	p.mu.Unlock()
	if !again {
		p.tellSpare()
		close(p.shut)
		for range p.cfg.Size {
			p.places <- struct{}{} // when the call that has it has ended
		}
	}
	p.mu.Lock()
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

// take gets an instance: idle, or made for the purpose, or given by another call. The call has a
// place and its turn.
func (p *Pool) take(ctx context.Context) (Instance, error) {
	p.mu.Lock()
	switch n := len(p.idle); {
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

// grow makes an instance that was counted. Where there is no room for one, it waits for one of
// this pool, if there are any.
func (p *Pool) grow(ctx context.Context) (Instance, error) {
	in, err := p.module.Instantiate(ctx, p.cfg.Instance)
	if err == nil {
		return in, nil
	}
	full := errors.Is(err, ErrQuota) && !errors.Is(err, errNoFuel)
	p.mu.Lock()
	p.stats.Instances--
	p.stats.Made--
	p.stats.Busy--
	p.stats.Calls--
	if full && p.stats.Instances > 0 {
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

// await waits, without a core, for what w brings: an instance, or nil for the right to make one.
func (p *Pool) await(ctx context.Context, w chan Instance) (in Instance, err error) {
	p.tellSpare()
	Aside(ctx, func() { in, err = p.receive(ctx, w) })
	if err == nil && in == nil {
		return p.grow(ctx)
	}
	return in, err
}

func (p *Pool) receive(ctx context.Context, w chan Instance) (Instance, error) {
	select {
	case in := <-w:
		return in, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	i := slices.Index(p.waiting, w)
	if i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	p.mu.Unlock()
	if i < 0 { // it was served just then
		return <-w, nil
	}
	return nil, fmt.Errorf("%w: no instance came free: %w", ErrNotStarted, context.Cause(ctx))
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
