//go:build !wasip1

package offload

import (
	"bytes"
	"context"
	"errors"
	"strings"
)

// ErrDissent says that too few of the hosts that a call ran on gave one and the same
// answer. The error is a [CallError], whose Err is also a *Dissent.
var ErrDissent = errors.New("the hosts do not agree on an answer")

// Redundant is a [Far] that runs each call on all of Fars and gives the answer that
// more than half of them agree on, to the byte: two find a fault, three outvote it
// (paper 003: "redundant safety computations"). It is for functions marked
// deterministic; others disagree by themselves. A host that gives no answer has no
// vote.
//
// A call takes as long as the slowest host, at most its deadline, because a host that
// lies is to be named. Its error is a [CallError]: that of a host when too few
// answered, else one that is ErrDissent.
type Redundant struct {
	Fars []Far
	// Report is told of each host that was outvoted, and of all when none was. It is
	// called by many goroutines at once. Nil tells nobody.
	Report func(Dissent)
}

// A Dissent tells who gave which answer to a call. It is an error.
type Dissent struct {
	Func   string
	Agreed []string   // hosts whose answer counts; nil when no answer had enough
	Others [][]string // the other hosts, those of one answer together
}

// Error names the hosts.
func (d *Dissent) Error() string {
	var groups []string
	for _, hosts := range d.Others {
		groups = append(groups, strings.Join(hosts, " and "))
	}
	if len(d.Agreed) == 0 {
		return "each has an answer of its own: " + strings.Join(groups, "; ")
	}
	return strings.Join(groups, "; ") + " against " + strings.Join(d.Agreed, " and ")
}

// A vote is what a host gave.
type vote struct {
	reply *Reply
	err   error
}

// Call implements [Far].
func (r *Redundant) Call(ctx context.Context, f *Desc, request []byte) (*Reply, error) {
	votes := make(chan vote, len(r.Fars))
	for _, far := range r.Fars {
		go func() {
			reply, err := far.Call(ctx, f, request)
			votes <- vote{reply, err}
		}()
	}
	var b ballot
	for range r.Fars { // all of them: a Far does not keep request, so it must have ended
		b.add(<-votes)
	}
	return r.decide(f, &b)
}

// A ballot holds the answers to a call, equal ones together.
type ballot struct {
	groups [][]*Reply
	up     int // bytes
	down   int
	err    error // of the hosts without an answer
	begun  bool  // the function may have run on one of those
}

func (b *ballot) add(v vote) {
	if v.err != nil {
		b.err = errors.Join(b.err, v.err)
		b.begun = b.begun || !MayRepeat(v.err, false)
		return
	}
	b.up += v.reply.BytesUp
	b.down += v.reply.BytesDown
	for i, g := range b.groups {
		if g[0].Status == v.reply.Status && bytes.Equal(g[0].Payload, v.reply.Payload) {
			b.groups[i] = append(g, v.reply)
			return
		}
	}
	b.groups = append(b.groups, []*Reply{v.reply})
}

// decide returns the answer of the majority, and reports the others.
func (r *Redundant) decide(f *Desc, b *ballot) (*Reply, error) {
	var won *Reply
	d := Dissent{Func: f.Name}
	for _, g := range b.groups {
		if 2*len(g) > len(r.Fars) {
			won, d.Agreed = g[0], hosts(g)
		} else {
			d.Others = append(d.Others, hosts(g))
		}
	}
	if len(d.Others) > 0 && len(b.groups) > 1 && r.Report != nil {
		r.Report(d)
	}
	for _, g := range b.groups {
		for _, reply := range g {
			if reply != won {
				reply.Release()
			}
		}
	}
	switch {
	case won != nil:
		won.BytesUp, won.BytesDown = b.up, b.down
		return won, nil
	case len(b.groups) > 1:
		return nil, &CallError{Func: f.Name, Fate: Ended, Err: errors.Join(ErrDissent, &d)}
	}
	// Where it ran at all, its fate is the same as that of one that may have run.
	fate := NotStarted
	if b.begun || len(b.groups) > 0 {
		fate = Unknown
	}
	return nil, &CallError{Func: f.Name, Fate: fate, Err: b.err}
}

func hosts(g []*Reply) []string {
	var names []string
	for _, r := range g {
		names = append(names, r.Host)
	}
	return names
}
