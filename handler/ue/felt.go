package ue

import (
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/qos"
	"github.com/bungee-xr/bungee/internal/wire"
)

// A felt is how calls and messages at a host are, for an offload manager. A nil one counts nothing.
type felt struct {
	mu     sync.Mutex // leaf
	window *qos.Window
}

// feelEvery is how often a manager is told how calls are, and what of them.
const feelEvery = time.Second

func newFelt() *felt { return &felt{window: qos.NewWindow(feelEvery)} }

// begin returns when a call begins.
func (f *felt) begin() time.Time {
	if f == nil {
		return time.Time{}
	}
	return time.Now()
}

// end counts a call, and whether it was in vain.
func (f *felt) end(begin time.Time, missed bool) {
	if f == nil {
		return
	}
	f.add(time.Since(begin), missed)
}

// add counts a call, or a message, that took so long.
func (f *felt) add(took time.Duration, missed bool) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.window.Add(time.Now(), took, missed)
}

// calls returns what a manager is told. Without a call its N is 0.
func (f *felt) calls(host string) wire.CallsFeel {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.window.Calls(time.Now())
	return wire.CallsFeel{Host: host, N: c.N, Missed: c.Missed, P50: c.P50, P99: c.P99}
}
