package ue

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/bungee-xr/bungee/internal/route"
	"github.com/bungee-xr/bungee/offload"
)

// vote runs a call on all targets, and logs those that are outvoted.
func (f *function) vote(ctx context.Context, d *offload.Desc, frame []byte, targets []*target) (*route.Reply, error) {
	callers := make([]route.Caller, len(targets))
	for i, t := range targets {
		callers[i] = t
	}
	return vote(ctx, d, frame, callers, func(s *split) {
		f.log.Error("edge hosts disagree on a result", "func", d.Name, "agreed", s.agreed, "others", s.others)
	})
}

// vote runs a call on all callers and returns the answer that more than half of them
// give, equal to the byte: two hosts find a fault, three outvote it (paper 003: "redundant
// safety computations"). It needs a deterministic module; answers of others differ without
// a fault. A host that gives no answer has no vote.
//
// A call takes as long as the slowest host, at most its deadline, so that every host that
// lies is found. The error is a CallError: that of a host when too few answered,
// else one with CodeDissent. When answers differ, vote calls report.
func vote(ctx context.Context, d *offload.Desc, frame []byte, callers []route.Caller, report func(*split)) (*route.Reply, error) {
	votes := make(chan ballot, len(callers))
	for _, c := range callers {
		own := slices.Clone(frame) // each writes its header
		go func() {
			reply, err := c.Call(ctx, d, own)
			votes <- ballot{reply, err}
		}()
	}
	var n count
	for range callers {
		n.add(<-votes)
	}
	return n.decide(d, len(callers), report)
}

// A ballot is the reply of one host, or its error.
type ballot struct {
	reply *route.Reply
	err   error
}

// A count holds the answers to a call, equal ones together.
type count struct {
	groups [][]*route.Reply
	up     int // bytes
	down   int
	err    error // of the hosts without an answer
	begun  bool  // the function may have run on one of those
}

func (n *count) add(b ballot) {
	if b.err != nil {
		n.err = errors.Join(n.err, b.err)
		n.begun = n.begun || !route.MayRepeat(b.err, false)
		return
	}
	n.up += b.reply.BytesUp
	n.down += b.reply.BytesDown
	for i, g := range n.groups {
		if g[0].Status == b.reply.Status && bytes.Equal(g[0].Payload, b.reply.Payload) {
			n.groups[i] = append(g, b.reply)
			return
		}
	}
	n.groups = append(n.groups, []*route.Reply{b.reply})
}

// decide returns the answer of the majority of the callers, and reports the others.
func (n *count) decide(d *offload.Desc, callers int, report func(*split)) (*route.Reply, error) {
	var won *route.Reply
	var s split
	for _, g := range n.groups {
		if 2*len(g) > callers {
			won, s.agreed = g[0], hosts(g)
		} else {
			s.others = append(s.others, hosts(g))
		}
	}
	if len(n.groups) > 1 {
		report(&s)
	}
	for _, g := range n.groups {
		for _, reply := range g {
			if reply != won {
				reply.Release()
			}
		}
	}
	switch {
	case won != nil:
		won.BytesUp, won.BytesDown = n.up, n.down
		return won, nil
	case len(n.groups) > 1:
		return nil, &offload.CallError{Func: d.Name, Host: s.hosts(), Code: offload.CodeDissent, Fate: offload.Ended, Err: &s}
	}
	// If it ran on some hosts only, its fate counts as unknown.
	fate := offload.NotStarted
	if n.begun || len(n.groups) > 0 {
		fate = offload.Unknown
	}
	return nil, &offload.CallError{Func: d.Name, Host: "several edge hosts", Code: offload.CodeOf(n.err), Fate: fate, Err: n.err}
}

// A split says which hosts gave which answer to a call. It is the cause of a CallError.
type split struct {
	agreed []string   // hosts whose answer counts; nil when no answer had enough
	others [][]string // the other hosts, those of one answer together
}

// Error names the hosts.
func (s *split) Error() string {
	var groups []string
	for _, hosts := range s.others {
		groups = append(groups, strings.Join(hosts, " and "))
	}
	if len(s.agreed) == 0 {
		return "each has an answer of its own: " + strings.Join(groups, "; ")
	}
	return strings.Join(groups, "; ") + " against " + strings.Join(s.agreed, " and ")
}

func (s *split) hosts() string { return strings.Join(slices.Concat(s.others...), ", ") }

func hosts(g []*route.Reply) []string {
	var names []string
	for _, r := range g {
		names = append(names, r.Host)
	}
	return names
}
