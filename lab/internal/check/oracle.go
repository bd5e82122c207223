package check

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/offload"
)

// An oracle knows what a channel must deliver. The sender tells it what is sent,
// the receiver what has come; both may do so at the same time. It complains to the
// function that it was made with.
type oracle interface {
	// add takes note of a message that is about to be sent, drop that Send refused it.
	add(message)
	drop(message)
	// got judges a result.
	got(elastic.Result[out])
	// done says that nothing more needs to come.
	done() bool
	// skips is how many messages have had no result, once all is done.
	skips() uint64
}

func newOracle(latest bool, fail func(string, ...any)) oracle {
	if latest {
		return &newest{fail: fail, of: map[uint64]message{}}
	}
	return &sequence{fail: fail, gone: map[uint64]uint64{}}
}

// A kind says what a result must be.
type kind int

const (
	value kind = iota
	failure
	breakage
)

// A want is a result that must come.
type want struct {
	seq   uint64
	index int
	hash  uint64 // of the state after the message
	kind  kind
}

func (w want) String() string {
	switch w.kind {
	case failure:
		return fmt.Sprintf("message %d: its error at %016x", w.seq, w.hash)
	case breakage:
		return fmt.Sprintf("message %d: that it broke its far endpoint", w.seq)
	}
	return fmt.Sprintf("message %d: value %d at %016x", w.seq, w.index, w.hash)
}

// wantsOf returns what m must come to, and the state after it.
func wantsOf(s state, m message) ([]want, state) {
	if m.poison.breaks() {
		return []want{{seq: m.seq, kind: breakage}}, s
	}
	s = s.after(m)
	var all []want
	for i := range m.outs {
		all = append(all, want{m.seq, i, s.hash, value})
	}
	if m.fails {
		all = append(all, want{m.seq, m.outs, s.hash, failure})
	}
	return all, s
}

// results is how many results m comes to, if it does not overrun.
func (m message) results() int {
	if m.poison.breaks() {
		return 1
	}
	n := m.outs
	if m.fails {
		n++
	}
	return n
}

// overran says whether r is what m may come to instead of w, its first result, if it is
// one that overruns.
func (w want) overran(m message, r elastic.Result[out]) bool {
	return m.poison.overruns() && w.index == 0 && w.named(r) && errors.Is(r.Err, offload.ErrDeadline)
}

// named says whether r is of the message that w is of.
func (w want) named(r elastic.Result[out]) bool {
	return r.Seq == w.seq && len(r.Tag) == 8 && binary.BigEndian.Uint64(r.Tag) == w.seq
}

// met says whether a result is the one that w wants.
func (w want) met(r elastic.Result[out]) bool {
	var call *offload.CallError
	switch {
	case !w.named(r):
		return false
	case w.kind == failure:
		return r.Err != nil && r.Err.Error() == fails(w.seq, w.hash).Error()
	case w.kind == breakage:
		return errors.Is(r.Err, errTrap) || errors.As(r.Err, &call)
	}
	v := r.Value
	return r.Err == nil && v.seq == w.seq && v.index == w.index && v.after == w.hash && v.host == hostOf(r.Host)
}

// tagOf is the tag of message seq.
func tagOf(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func hostOf(name string) Host {
	if name == "" {
		return UE
	}
	return Host(name)
}

// describe says what a result is.
func describe(r elastic.Result[out]) string {
	at := fmt.Sprintf("message %d, by %s, skipped %d: ", r.Seq, hostOf(r.Host), r.Skipped)
	if r.Err != nil {
		return at + fmt.Sprintf("error %q", r.Err)
	}
	return at + fmt.Sprintf("value %d of message %d at %016x, by instance %d on %s", r.Value.index, r.Value.seq, r.Value.after, r.Value.instance, r.Value.host)
}
