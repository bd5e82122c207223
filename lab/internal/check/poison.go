package check

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/pack"
)

// A poison is what is wrong with a message.
type poison int

// The kinds of poison. On an edge host each comes to what the executor makes of it. On
// the UE, where code is native, the first four are a panic of Handle.
const (
	harmless poison = iota
	// trapping breaks its guest after it changed the state.
	trapping
	// panicking panics before it changes the state.
	panicking
	// hungry runs out of memory.
	hungry
	// large has an outcome that is too large.
	large
	// slow does not return within the deadline. It returns when its ctx ends, before it
	// changes the state.
	slow
	// stubborn is slow and ignores its ctx. It returns in the end, with its values.
	stubborn
)

var poisonNames = [...]string{"harmless", "trapping", "panicking", "hungry", "large", "slow", "stubborn"}

// String returns the kind in a word.
func (p poison) String() string { return poisonNames[p] }

// breaks says whether the poison breaks a far endpoint, wherever it is.
func (p poison) breaks() bool { return p >= trapping && p <= large }

// overruns says whether it takes longer than the deadline.
func (p poison) overruns() bool { return p == slow || p == stubborn }

// stubbornness is how many deadlines a stubborn message takes: longer than a channel waits for
// one in a replay on the UE.
const stubbornness = 6

// poisonOf returns the poison of message seq of a step. Only a channel with a deadline
// that counts has messages that overrun it.
func poisonOf(seq uint64, s *Step, of Settings) poison {
	each := [...]int{trapping: s.Trap, panicking: s.Panic, hungry: s.Memory, large: s.Large, slow: s.Overrun, stubborn: s.Stubborn}
	for p, n := range each {
		if n > 0 && seq%uint64(n) == 0 && (!poison(p).overruns() || of.overrunnable()) {
			return poison(p)
		}
	}
	return harmless
}

// overrunnable says whether the channel has a deadline for its messages.
func (s Settings) overrunnable() bool { return s.Deadline > 0 && (s.Latest || !s.Once) }

// errTrap is what a message that breaks a guest comes to on the UE in scripts without
// an adversary. It leaves the state alone.
var errTrap = errors.New("the message breaks its guest")

// suffer does to Handle what is wrong with m, before the state changes.
func (m message) suffer(ctx context.Context, g *ground) error {
	switch {
	case g.host == UE && m.poison.breaks() && !g.harsh:
		return errTrap
	case g.host == UE && m.poison.breaks(), m.poison == panicking:
		panic(fmt.Sprintf("message %d is %s", m.seq, m.poison))
	case m.poison == slow:
		<-ctx.Done()
		return context.Cause(ctx)
	case m.poison == stubborn:
		time.Sleep(m.takes)
	}
	return nil
}

// outcome returns what an executor answers for a message that its guest has handled.
func (p poison) outcome() error {
	fail := &wire.Fail{Started: true, Text: p.String()}
	switch p {
	case trapping:
		fail.Code = offload.CodeTrapped
	case hungry:
		fail.Code = offload.CodeOutOfMemory
	case large:
		fail.Code = offload.CodeTooLarge
	default:
		return nil
	}
	return fail
}

// poisonIn returns the poison of the message in request.
func poisonIn(request []byte) poison {
	r := pack.NewReader(request)
	return readMessage(&r).poison
}
