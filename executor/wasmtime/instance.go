//go:build cgo

package wasmtime

// #include "guest.h"
import "C"

import (
	"context"
	"fmt"
	"math"
	"time"
	"unsafe"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/guest"
	"github.com/bungee-xr/bungee/internal/abi"
)

// An instance is what Go knows of a guest. It implements [guest.Raw].
type instance struct {
	// anchor is what C gets of an instance while guest code runs: cgo lets C have
	// the address of what has no Go pointers in it. It is the first field.
	anchor C.uint8_t

	// Set once, then constant.
	module *module
	link   *guest.Linkage
	guest  *C.bungee_guest // nil before Start and after Close
	shed   int             // bytes of memory that have been given back

	// Of the call that runs, between Begin and End.
	run  run
	stop error // why tick stopped the guest
}

// A run is what bounds a call, and what was counted of it.
type run struct {
	ctx      context.Context
	deadline time.Time // zero is none
	turn     *executor.Turn
	ticks    bool             // the clock ticks for it
	contest  executor.Contest // for its turn, when it began
	timed    bool             // its thread time is taken, which needs two system calls a crossing
	settled  time.Duration    // of its thread time
	canceled time.Time        // when the end of ctx was seen first
	fuel     int64            // budget

	// Where metered.
	seen   time.Time // when the memory was looked at last
	size   uint64    // of the memory then
	memory float64   // byte-seconds until then
}

// self returns what C gets of i.
func (i *instance) self() *C.uint8_t { return &i.anchor }

// instanceOf is the inverse of self.
func instanceOf(self *C.uint8_t) *instance { return (*instance)(unsafe.Pointer(self)) }

// Begin implements [guest.Raw].
func (i *instance) Begin(ctx context.Context, fuel uint64) {
	i.stop = nil
	i.run = run{ctx: ctx, fuel: budget(fuel)}
	i.run.deadline, _ = ctx.Deadline()
	if c := executor.CallOf(ctx); c != nil {
		i.run.turn = c.Turn
	}
	if i.run.turn != nil {
		i.run.turn.OnWanted(i.module.clock.kick)
	}
	if i.run.turn != nil {
		i.run.contest = i.run.turn.Contest()
	}
	i.run.timed = i.link.Metered || i.run.contest.Waiting > 0
	if i.guest != nil {
		i.time()
	}
	if i.link.Metered {
		i.meter()
	}
	i.run.ticks = i.run.turn != nil || i.link.Metered || ctx.Done() != nil // last: Done can cost a timer
	if i.run.ticks {
		i.module.clock.begin()
	}
}

// budget returns fuel as a guest's global holds it. No bound is what no guest
// lives to use up.
func budget(fuel uint64) int64 {
	if fuel == 0 || fuel > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(fuel)
}

// time has the guest's thread time taken, or not, from now on, and its thread preferred where others want its core and have had far more.
func (i *instance) time() {
	i.guest.timed, i.guest.ahead, i.guest.cpu = C.bool(i.run.timed), C.bool(i.run.contest.Waiting > 0 && i.run.contest.Ahead), 0
}

// settle has the turn charged for thread time.
func (i *instance) settle() {
	if i.run.timed && i.guest != nil {
		cpu := time.Duration(i.guest.cpu)
		i.run.turn.Settle(cpu - i.run.settled)
		i.run.settled = cpu
	}
}

// meter begins to count for a call.
func (i *instance) meter() {
	i.run.seen, i.run.size = time.Now(), i.Size()
	if i.guest != nil {
		i.guest.fuel = C.int64_t(i.run.fuel)
	}
}

// End implements [guest.Raw].
func (i *instance) End() guest.Usage {
	if i.run.ticks {
		i.module.clock.end()
	}
	var u guest.Usage
	if i.link.Metered && i.guest != nil {
		i.look()
		u = guest.Usage{
			Fuel:          uint64(i.run.fuel - max(0, int64(i.guest.fuel))),
			CPU:           time.Duration(i.guest.cpu),
			MemorySeconds: i.run.memory,
		}
	}
	if i.run.turn != nil {
		i.settle()
		i.run.turn.OnWanted(nil) // the engine may be closed before the turn ends
	}
	i.run = run{}
	return u
}

// look adds the memory since the last look to the integral, as if it had grown
// evenly: it is looked at each tick, and before and after each host function.
func (i *instance) look() {
	now, size := time.Now(), i.Size()
	i.run.memory += now.Sub(i.run.seen).Seconds() * float64(i.run.size+size) / 2
	i.run.seen, i.run.size = now, size
}

// Start implements [guest.Raw].
func (i *instance) Start() error {
	m := i.module
	if m.linked == nil {
		return fmt.Errorf("%w: it imports what is no function, or one function with two types", executor.ErrABI)
	}
	message, err := i.start(m.tables.Load())
	if n := tableCount(message); n > 0 && n <= C.BUNGEE_TABLES {
		m.tables.Store(n)
		i.Close()
		message, err = i.start(n)
	}
	switch {
	case message != "":
		return i.refused(message)
	case err == nil:
		return nil
	case i.guest.funcs[C.BUNGEE_CALL].store_id == 0:
		return fmt.Errorf("instantiate: %w", err)
	}
	return fmt.Errorf("initialise: %w", err)
}

// start makes the instance of a module with so many tables, which share the limit,
// and initialises it. message says why wasmtime did not make it.
func (i *instance) start(tables uint64) (message string, err error) {
	i.guest = C.bungee_guest_new(i.module.linked, C.bungee_limits{
		memory:   C.int64_t(i.link.Limits.Memory),
		tables:   C.int64_t(tables),
		elements: C.int64_t(i.link.Limits.Table) / C.int64_t(tables),
	}, C.bool(i.link.Metered))
	i.guest.fuel = C.int64_t(i.run.fuel)
	i.time()
	r := C.bungee_guest_start(i.guest, i.self(), i.module.linked)
	if r.refused {
		return text(r), nil
	}
	return "", i.result(r)
}

// ABI implements [guest.Raw].
func (i *instance) ABI() (uint32, error) {
	v, err := i.call(C.BUNGEE_ABI)
	return uint32(v), err
}

// Buf implements [guest.Raw].
func (i *instance) Buf(n uint32) (uint32, error) {
	i.guest.words[0].word = C.uint64_t(n)
	v, err := i.call(C.BUNGEE_BUF)
	return uint32(v), err
}

// Invoke implements [guest.Raw].
func (i *instance) Invoke(fn, ptr, n uint32, deadline int64) (uint64, error) {
	w := &i.guest.words
	w[0].word, w[1].word, w[2].word, w[3].word = C.uint64_t(fn), C.uint64_t(ptr), C.uint64_t(n), C.uint64_t(deadline)
	return i.call(C.BUNGEE_CALL)
}

// call calls a function of the guest on its words and returns its result.
func (i *instance) call(f C.int) (uint64, error) {
	if err := i.result(C.bungee_guest_call(i.guest, i.self(), f)); err != nil {
		return 0, err
	}
	return uint64(i.guest.words[0].word), nil
}

// result returns the error of a crossing.
func (i *instance) result(r C.bungee_result) error {
	if r.message.data == nil {
		return nil
	}
	return i.link.Trap(text(r), i.why(), bool(C.bungee_guest_refused(i.guest)))
}

// why returns why the guest was stopped, nil when it stopped by itself.
func (i *instance) why() error {
	if i.stop == nil && i.link.Metered && i.guest.fuel < 0 {
		return fmt.Errorf("%w of %d", executor.ErrFuel, i.run.fuel)
	}
	return i.stop
}

// Bytes implements [executor.Memory].
func (i *instance) Bytes(ptr, n uint32) ([]byte, bool) {
	g := i.guest
	if g == nil || !abi.Inside(ptr, n, uint64(g.size)) {
		return nil, false
	}
	if n == 0 {
		return nil, true // a memory of no pages has no address
	}
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(g.base), ptr)), n), true
}

// Size implements [guest.Raw].
func (i *instance) Size() uint64 {
	if i.guest == nil {
		return 0
	}
	return uint64(i.guest.size)
}

// shedPiece is what is given back at once: the kernel takes some 0.2 ms for it.
const shedPiece = 4 << 20

// Shed implements [executor.Shedder].
func (i *instance) Shed() bool {
	if i.guest == nil {
		return false
	}
	at := i.shed
	i.shed += shedPiece
	return bool(C.bungee_guest_shed(i.guest, C.size_t(at), shedPiece))
}

// Close implements [guest.Raw].
func (i *instance) Close() error {
	if i.guest != nil {
		C.bungee_guest_delete(i.guest)
		i.guest = nil
	}
	return nil
}
