package check

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/offload"
)

// A stage is what channels and those who use them need of a run: targets, and
// someone to complain to. It is the UE's part of a world, or of real processes.
type stage struct {
	// Set before the first channel is opened.
	seed     uint64 // of the messages
	queue    int    // steps that may wait for a channel
	count    *Counts
	targets  map[Host]elastic.Target
	sabotage *sabotage
	delay    time.Duration // of the network, one way
	channels int           // that share the network
	// adversary has native code that breaks panic, and channels judged for more than
	// their results.
	adversary bool
	apart     bool // edge hosts are other processes: their states are not known here
	// register, if not nil, is told of each endpoint before a channel has it.
	register func(index uint32, s Settings, j *journal)

	blame  blame
	drains atomic.Int64
	lags   atomic.Int64 // how long messages that overrun may take in all, in ns

	lives   int
	drained atomic.Bool // a host has drained: channels move by themselves from then on

	mu   sync.Mutex
	harm bool   // an edge host was lost, silent or hard to reach
	why  string // the run has failed
}

// fail takes note of why the run has failed, if it is the first reason.
func (st *stage) fail(format string, args ...any) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.why == "" {
		st.why = fmt.Sprintf(format, args...)
	}
}

// hangs is fail with the stacks of those who wait within package elastic.
func (st *stage) hangs(format string, args ...any) {
	st.fail("%s\n%.10000s", fmt.Sprintf(format, args...), goroutines("bungee/elastic"))
}

// caught makes a panic a failure. It is deferred by those who call channels; a
// panic in a goroutine of a channel's own ends the program.
func (st *stage) caught() {
	if p := recover(); p != nil {
		st.fail("panic: %v\n%s", p, debug.Stack())
	}
}

func (st *stage) failed() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.why != ""
}

// hurt takes note that an edge host may be lost from now on.
func (st *stage) hurt() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.harm = true
}

func (st *stage) harmed() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.harm
}

// until waits until ok, for at most limit, and says whether it came to that.
func (st *stage) until(limit time.Duration, ok func() bool) bool {
	for begin := time.Now(); !ok(); pass(context.Background(), 5*time.Millisecond) {
		if time.Since(begin) > limit || st.failed() {
			return false
		}
	}
	return true
}

// patience bounds each call of a channel in virtual time. A host that does not
// answer is given up after 5 s by its connection; a dial takes 3 s to fail, and a
// recovery tries a place for 2 s, or while something moves. On the UE a message that overruns holds up all others.
func (st *stage) patience() time.Duration { return time.Minute + time.Duration(st.lags.Load()) }

// wait waits for done, which must not take longer than any call may.
func (st *stage) wait(what string, done <-chan struct{}) {
	select {
	case <-done:
	case <-time.After(2 * st.patience()):
		st.hangs("%s did not come within %v", what, 2*st.patience())
	}
}

// descOf describes the endpoint of one channel.
func descOf(index uint32, s Settings) offload.Desc {
	return offload.Desc{Name: "check", Index: index, Module: module, Idempotent: !s.Once}
}

// module stands for the endpoint's: native far endpoints need its name only.
var module = &offload.Module{}
