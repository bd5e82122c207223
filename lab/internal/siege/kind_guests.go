package siege

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/offload"
)

// The answers to guests that were stopped.
var (
	trapped     = either(fail(offload.CodeTrapped))
	exited      = either(fail(offload.CodeExited))
	outOfFuel   = either(fail(offload.CodeOutOfFuel))
	outOfMemory = either(fail(offload.CodeOutOfMemory))
	late        = either(fail(offload.CodeDeadline))
	tooLarge    = either(fail(offload.CodeTooLarge))
	answered    = either(result(abi.OK))
)

// callsFn makes a hostile call of a function of the guest, with an argument below some bound.
func callsFn(fn uint32, below int) func(context.Context, *caller) (Response, error) {
	return asks(func(r *rand.Rand) []byte { return hostileCall(fn, 0, request(r.IntN(max(1, below)))) })
}

// huge makes one of a bulk instruction that is worth more fuel than a call has.
func huge(fn uint32) func(context.Context, *caller) (Response, error) {
	return asks(func(r *rand.Rand) []byte { return hostileCall(fn, 0, request(1<<28+r.IntN(1<<28))) })
}

// within makes one that must end in some time.
func within(fn uint32, argument int, most time.Duration) func(context.Context, *caller) (Response, error) {
	return asks(func(r *rand.Rand) []byte {
		return hostileCall(fn, time.Duration(1+r.Int64N(int64(most))), request(argument))
	})
}

// sized makes one whose request has n bytes, for which the guest has no good buffer.
func sized(n int) func(context.Context, *caller) (Response, error) {
	return asks(func(*rand.Rand) []byte { return hostileCall(fnEcho, 0, zeros()[:n]) })
}

// The sizes of requests for which the guest's bungee_buf does what it must not (hostile.c).
const (
	bufNone = 1001 + iota
	bufOutside
	bufTrap
	bufSpin
)

// Guests that break Wasm's rules, use up what they have, or answer what is no answer.
var wrongGuests = []Kind{
	{Name: "unreachable", Share: 40, Allowed: trapped, do: callsFn(fnUnreachable, 0)},
	{Name: "load-outside", Share: 40, Allowed: trapped, do: callsFn(fnLoadOutside, 1000)},
	{Name: "store-outside", Share: 40, Allowed: trapped, do: callsFn(fnStoreOutside, 1000)},
	{Name: "fill-outside", Share: 40, Allowed: trapped, do: callsFn(fnFillOutside, 1<<20)},
	{Name: "copy-outside", Share: 40, Allowed: trapped, do: callsFn(fnCopyOutside, 1<<20)},
	// Bulk instructions are charged before they run, those out of bounds, too.
	{Name: "fill-huge", Share: 20, Allowed: outOfFuel, do: huge(fnFillOutside)},
	{Name: "copy-huge", Share: 20, Allowed: outOfFuel, do: huge(fnCopyOutside)},
	{Name: "divide-by-zero", Share: 40, Allowed: trapped, do: callsFn(fnDivide, 1<<31)},
	{Name: "divide-overflow", Share: 40, Allowed: trapped, do: callsFn(fnOverflow, 0)},
	{Name: "truncate-nan", Share: 40, Allowed: trapped, do: callsFn(fnTruncate, 0)},
	// Which of the two bounds is reached first depends on the engine's stack.
	{Name: "stack", Share: 2, Allowed: either(fail(offload.CodeOutOfStack), fail(offload.CodeOutOfFuel)), do: callsFn(fnRecurse, 0)},
	{Name: "table-null", Share: 40, Allowed: trapped, do: callsFn(fnCallNone, 0)},
	{Name: "table-other-type", Share: 40, Allowed: trapped, do: callsFn(fnCallOther, 1000)},
	{Name: "table-outside", Share: 40, Allowed: trapped, do: callsFn(fnCallPast, 1<<30)},
	{Name: "no-function", Share: 40, Allowed: trapped, do: asks(func(r *rand.Rand) []byte {
		return hostileCall(hostileFunctions+r.Uint32N(1<<31), 0, nil)
	})},
	{Name: "memory-grow", Share: 20, Allowed: answered, do: callsFn(fnGrow, 0)},
	{Name: "memory-out", Share: 20, Allowed: outOfMemory, do: callsFn(fnGrowTrap, 0)},
	{Name: "fuel", Share: 2, Allowed: outOfFuel, do: callsFn(fnBurn, 0)},
	{Name: "deadline", Share: 10, Allowed: late, do: within(fnWait, 1, 2*time.Millisecond)},
	{Name: "deadline-asleep", Share: 10, Allowed: late, do: within(fnSleep, 0, 2*time.Millisecond)},
	{Name: "exit", Share: 40, Allowed: exited, do: callsFn(fnExit, 4)},
	{Name: "exit-any", Share: 20, Allowed: exited, do: callsFn(fnExit, 1<<32)},
	{Name: "buffer-refused", Share: 40, Allowed: tooLarge, do: sized(bufNone)},
	{Name: "buffer-outside", Share: 40, Allowed: trapped, do: sized(bufOutside)},
	{Name: "buffer-trap", Share: 40, Allowed: trapped, do: sized(bufTrap)},
	{Name: "buffer-spin", Share: 2, Allowed: outOfFuel, do: sized(bufSpin)},
	{Name: "request-large", Share: 10, Allowed: tooLarge, do: asks(func(r *rand.Rand) []byte {
		return hostileCall(fnEcho, 0, zeros()[:1<<14+r.IntN(1<<18)])
	})},
	{Name: "reply-outside", Share: 40, Allowed: trapped, do: callsFn(fnReplyOutside, 1<<31)},
	{Name: "reply-empty", Share: 40, Allowed: trapped, do: callsFn(fnReplyEmpty, 0)},
	{Name: "reply-large", Share: 20, Allowed: tooLarge, do: callsFn(fnLarge, 0)},
	{Name: "status-unknown", Share: 40, Allowed: trapped, do: asks(func(r *rand.Rand) []byte {
		return hostileCall(fnStatus, 0, request(4+r.IntN(252)))
	})},
	{Name: "status-both-cut", Share: 20, Allowed: either(result(abi.Both)), do: asks(func(*rand.Rand) []byte {
		return hostileCall(fnStatus, 0, request(3))
	})},
	{Name: "status-error-cut", Share: 20, Allowed: either(result(abi.Error)), do: asks(func(*rand.Rand) []byte {
		return hostileCall(fnStatus, 0, request(1))
	})},
	{Name: "panic", Share: 40, Allowed: either(result(abi.Panic)), do: callsFn(fnPanic, 0)},
}

// Where the guest's host functions may write (hostile.c's ground). What they are given is at hostPage or beyond and
// 128 KiB long at most, if it is in the memory at all; so they write below 0x60000, where the guest's own
// variables begin, even if they take an address for a length.
const (
	hostPage  = 0x10000
	hostPages = 0x20000
	// memoryMost is more than the guest's memory can have.
	memoryMost = 4 << 20
)

// outside is an address of which no byte is in the guest's memory, or of which n bytes are not.
func outside(r *rand.Rand) uint64 {
	return [...]uint64{memoryMost, 0xffffffff, 0xfffffff8, 0x80000000, memoryMost + uint64(r.Uint32N(1<<30))}[r.IntN(5)]
}

// anyAddress is one of the guest's pages for that, at their end, or outside.
func anyAddress(r *rand.Rand) uint64 {
	if r.IntN(3) == 0 {
		return outside(r)
	}
	return hostPage + uint64(r.IntN(hostPages/2))
}

// anyLength is one that keeps an address of the guest's pages inside them, or is far too much.
func anyLength(r *rand.Rand) uint64 {
	switch r.IntN(4) {
	case 0:
		return uint64(r.Uint32()) | 1<<24
	case 1:
		return 0
	}
	return uint64(r.IntN(hostPages / 4))
}

// anyArgument is one of a host function.
func anyArgument(r *rand.Rand) uint64 {
	switch r.IntN(4) {
	case 0:
		return uint64(r.IntN(5))
	case 1:
		return anyLength(r)
	}
	return anyAddress(r)
}

// The functions of the tables in hostile.c.
const (
	wasiFunctions    = 45
	wasiPoll         = 37
	egressHTTP       = 0
	egressDial       = 3
	scratchSet       = 1
	nnFunctions      = 14
	mostErrno        = 76 // of WASI
	errnoDenied      = -2 // of egress
	errnoTooMany     = -4
	errnoArgument    = -1
	scratchTooLarge  = -1
	scratchFull      = -2
	mostScratchValue = 64 << 10
)

// hostCall makes a hostile call of a host function, whose errno must be one of those wanted.
func hostCall(fn uint32, make func(r *rand.Rand) []byte, wanted func(errno int32) bool) func(context.Context, *caller) (Response, error) {
	return hostCallWithin(0, fn, make, wanted)
}

// hostCallWithin is hostCall with a deadline.
func hostCallWithin(deadline time.Duration, fn uint32, make func(r *rand.Rand) []byte, wanted func(errno int32) bool) func(context.Context, *caller) (Response, error) {
	return func(ctx context.Context, c *caller) (Response, error) {
		q := make(c.rand)
		call := hostileCall(fn, deadline, q)
		if fn == fnNN {
			copy(call[1:], hostileNNDigest[:])
		}
		a, reply, err := c.askFor(ctx, call)
		if err != nil || a != result(abi.OK) {
			return a, err
		}
		if len(reply) != 4 {
			return a, fmt.Errorf("a reply of %d bytes", len(reply))
		}
		if errno := int32(binary.LittleEndian.Uint32(reply)); !wanted(errno) {
			return a, fmt.Errorf("errno %d to %x", errno, q)
		}
		return a, nil
	}
}

// Host functions that are called with what they must not believe.
var wrongHostCalls = []Kind{
	{Name: "log-outside", Share: 40, Allowed: trapped, do: callsFn(fnLogOutside, 1<<20)},
	{Name: "wasi", Share: 100, Allowed: answered, do: hostCall(fnWASI, func(r *rand.Rand) []byte {
		n := r.IntN(wasiFunctions - 1)
		if n >= wasiPoll {
			n++
		}
		return arguments(n, some(r, 9, anyArgument)...)
	}, func(e int32) bool { return e >= 0 && e <= mostErrno })},
	{Name: "wasi-poll", Share: 10, Allowed: either(result(abi.OK), fail(offload.CodeDeadline)), do: hostCallWithin(20*time.Millisecond, fnWASI, func(r *rand.Rand) []byte {
		// A host writes 32 bytes for each event that it is asked for.
		return arguments(wasiPoll, anyAddress(r), anyAddress(r), [...]uint64{0, 1, uint64(r.IntN(1000)), uint64(r.Uint32()) | 1<<24}[r.IntN(4)], anyAddress(r))
	}, func(e int32) bool { return e >= 0 && e <= mostErrno })},
	{Name: "egress-refused", Share: 40, Allowed: answered, do: refusedEgress},
	{Name: "egress-outside", Share: 40, Allowed: trapped, do: hostCall(fnEgress, func(r *rand.Rand) []byte {
		return arguments(r.IntN(2)*egressDial, outside(r), 8, outside(r), 8, outside(r), 8, outside(r), 8)
	}, nil)},
	{Name: "egress-handles", Share: 40, Allowed: answered, do: hostCall(fnEgress, func(r *rand.Rand) []byte {
		return arguments([...]int{1, 2, 4, 5, 6}[r.IntN(5)], uint64(r.Uint32()), hostPage, 16)
	}, func(e int32) bool { return e == errnoArgument })},
	{Name: "scratch-outside", Share: 40, Allowed: trapped, do: hostCall(fnScratch, func(r *rand.Rand) []byte {
		return arguments(r.IntN(2), outside(r), 8, outside(r), 8)
	}, nil)},
	{Name: "scratch-large", Share: 20, Allowed: answered, do: hostCall(fnScratch, func(r *rand.Rand) []byte {
		key := uint64(257 * r.IntN(2))
		return arguments(scratchSet, hostPage, key, hostPage, mostScratchValue+1-key)
	}, func(e int32) bool { return e == scratchTooLarge })},
	{Name: "scratch-full", Share: 2, Allowed: answered, do: hostCall(fnFillScratch, func(*rand.Rand) []byte { return nil }, func(e int32) bool { return e == scratchFull })},
	{Name: "nn", Share: 40, NN: true, Allowed: answered, do: hostCall(fnNN, func(r *rand.Rand) []byte {
		return arguments(r.IntN(nnFunctions), some(r, 5, anyArgument)...)
	}, func(int32) bool { return true })},
}

func some(r *rand.Rand, n int, one func(*rand.Rand) uint64) (all []uint64) {
	for range n {
		all = append(all, one(r))
	}
	return all
}

// refusedAddresses are those that nobody was granted: clouds' metadata, the host itself, its neighbours.
var refusedAddresses = []string{"169.254.169.254:80", "127.0.0.1:22", "localhost:4433", "10.0.0.1:5432", "[::1]:22", "[fd00:ec2::254]:80", "0x7f000001:22", "example.com:443"}

// refusedEgress asks for an address that was not granted. The text is in the request.
var refusedEgress = hostCall(fnEgress, func(r *rand.Rand) []byte {
	address := refusedAddresses[r.IntN(len(refusedAddresses))]
	q := arguments(egressDial, requestAt+argumentsSize, uint64(len(address)), 0)
	if r.IntN(2) == 0 {
		address = "http://" + address + "/latest/meta-data"
		q = arguments(egressHTTP, 0, 0, requestAt+argumentsSize, uint64(len(address)), 0, 0, 0, 0, 0)
	}
	return append(q, address...)
}, func(e int32) bool { return e == errnoDenied || e == errnoTooMany })

// requestAt is where the guest has a request, and argumentsSize how long its arguments are.
const (
	requestAt     = 0x60018
	argumentsSize = 8 + 9*8
)
