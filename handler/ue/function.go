package ue

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A function is the handler's state of one elastic function: its channel, and
// the counts of its calls.
type function struct {
	desc *offload.Desc
	edge *edge
	log  *slog.Logger

	ch     elastic.Calls
	at     atomic.Pointer[session] // where ch's far endpoint is; nil: on the UE
	moving sync.Mutex              // a change of at and ch

	redundant *offload.Redundant // in place of ch, for calls that run on several hosts; else nil

	calls, edgeCalls atomic.Uint64

	mu        sync.Mutex
	fallbacks uint64
	reasons   map[string]uint64
	reason    string // of the fallbacks under way; "": none are
	since     uint64 // fallbacks of that reason
}

func (f *function) now() Place {
	if f.at.Load() == nil {
		return OnUE
	}
	return OnEdge
}

// toEdge moves the far endpoint to the edge host of s, unless it is there.
func (f *function) toEdge(ctx context.Context, s *session) error {
	if f.at.Load() == s {
		return nil
	}
	f.moving.Lock()
	defer f.moving.Unlock()
	if f.at.Load() == s {
		return nil
	}
	if err := f.ch.Move(ctx, f.desc, place{far{f.edge, s}}); err != nil {
		return err
	}
	f.at.Store(s)
	return nil
}

// toUE moves the far endpoint back, unless it is there. That cannot fail.
func (f *function) toUE(ctx context.Context) {
	if f.at.Load() == nil {
		return
	}
	f.moving.Lock()
	defer f.moving.Unlock()
	if f.at.Load() != nil {
		f.ch.Move(ctx, f.desc, nil)
		f.at.Store(nil)
	}
}

// Call implements offload.Far for the calls that Route sends to the edge host.
func (f *function) Call(ctx context.Context, d *offload.Desc, request []byte) (*offload.Reply, error) {
	run := f.ch.Call
	if f.redundant != nil {
		run = f.redundant.Call
	}
	reply, err := run(ctx, d, request)
	switch {
	case err == nil:
		f.edgeCalls.Add(1)
		f.worked()
	case ctx.Err() == nil && offload.MayRepeat(err, d.Idempotent):
		f.fellBack(err)
	}
	return reply, err
}

// fellBack counts a fallback, and logs the first one of a run.
func (f *function) fellBack(why error) {
	r := reasonOf(why)
	f.mu.Lock()
	f.fallbacks++
	if f.reasons == nil {
		f.reasons = map[string]uint64{}
	}
	f.reasons[r]++
	first := f.reason != r
	if first {
		f.reason, f.since = r, 0
	}
	f.since++
	f.mu.Unlock()
	if first {
		f.log.Warn("falling back to the UE", "func", f.desc.Name, "reason", r, "why", why)
	}
}

// worked ends a run of fallbacks.
func (f *function) worked() {
	f.mu.Lock()
	r, n := f.reason, f.since
	f.reason = ""
	f.mu.Unlock()
	if r != "" {
		f.log.Info("the edge host answers again", "func", f.desc.Name, "reason", r, "fallbacks", n)
	}
}

func (f *function) addTo(s *Stats) {
	s.Calls += f.calls.Load()
	s.Edge += f.edgeCalls.Load()
	s.Moves += f.ch.Moves()
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Fallbacks += f.fallbacks
	for r, n := range f.reasons {
		s.Reasons[r] += n
	}
}

// reasonOf returns the kind of a fallback's cause: one of few, for counting.
func reasonOf(err error) string {
	known := []error{
		errNoEdge, errTooFew, errEnded, errConnecting, errDeploying, errSilent, errRefused, errLeave, ErrLate, elastic.ErrMoved,
		link.ErrNoAnswer, link.ErrIdentity, link.ErrVersion,
	}
	for _, k := range known {
		if errors.Is(err, k) {
			return k.Error()
		}
	}
	var f *wire.Fail
	if errors.As(err, &f) {
		return "the edge host refused: " + f.Code.String()
	}
	return "the edge host is lost"
}
