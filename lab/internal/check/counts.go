package check

import (
	"fmt"
	"iter"
	"strings"
	"sync/atomic"

	"github.com/bungee-xr/bungee/elastic"
)

// Counts are of what scripts came to. A kind of event that never happened was not
// checked.
type Counts struct {
	Seeds, Steps                       atomic.Int64
	Messages, Results, Refused         atomic.Int64 // Refused: each Send that was cancelled
	Moves, MovesFailed                 atomic.Int64
	Crashes, Drains, Mutes, Bursts     atomic.Int64
	Paths, Switches                    atomic.Int64 // Switches: connections that went to the other path
	Places, Stale, Placed              atomic.Int64 // Places of a manager; Stale: those that came again or too late; Placed: times that one was followed
	Closes, Lost                       atomic.Int64 // Lost: channels that ended with ErrLost
	Fallbacks, Replayed, Dropped       atomic.Int64
	Hedged                             atomic.Int64 // fallbacks because of a deadline
	Again                              atomic.Int64 // a far endpoint handled a message that another one had handled
	Skipped, Late, Stalls, Checkpoints atomic.Int64

	// Of scripts with an adversary only.
	Poison, Overruns atomic.Int64 // messages
	Links, Refusals  atomic.Int64
	Renewed, Foreign atomic.Int64 // hosts that came back with another certificate
	Races            atomic.Int64 // Shutdowns while others sent
}

// add adds what a channel counted itself.
func (c *Counts) add(s elastic.Stats, j *journal) {
	c.Fallbacks.Add(int64(s.Fallbacks))
	c.Replayed.Add(int64(s.Replayed))
	c.Dropped.Add(int64(s.Dropped))
	c.Skipped.Add(int64(s.Skipped))
	c.Late.Add(int64(s.Late))
	c.Stalls.Add(int64(s.Stalls))
	c.Checkpoints.Add(int64(s.Checkpoints))
	j.mu.Lock()
	defer j.mu.Unlock()
	c.Again.Add(int64(j.repeats))
}

// All returns all counts by name, those that only an adversary has if it did anything.
func (c *Counts) All() iter.Seq2[string, int64] {
	return func(yield func(string, int64) bool) {
		for _, k := range c.counts() {
			if n := k.n.Load(); (n > 0 || !k.adversary) && !yield(k.name, n) {
				return
			}
		}
	}
}

// String returns all counts in one line.
func (c *Counts) String() string {
	var parts []string
	for name, n := range c.All() {
		parts = append(parts, fmt.Sprintf("%d %s", n, name))
	}
	return strings.Join(parts, ", ")
}

// Missing returns the kinds of events that never happened, those of an adversary if
// there was one.
func (c *Counts) Missing(adversary bool) []string {
	var names []string
	for _, k := range c.counts() {
		if k.n.Load() == 0 && (adversary || !k.adversary) {
			names = append(names, k.name)
		}
	}
	return names
}

// numbers returns all counts, for another process.
func (c *Counts) numbers() (all []int64) {
	for _, k := range c.counts() {
		all = append(all, k.n.Load())
	}
	return all
}

// addNumbers adds the counts of another process.
func (c *Counts) addNumbers(all []int64) {
	for i, k := range c.counts() {
		if i < len(all) {
			k.n.Add(all[i])
		}
	}
}

// A count is one number of Counts with its name.
type count struct {
	name string
	n    *atomic.Int64
	// adversary: only scripts with an adversary have it.
	adversary bool
}

func (c *Counts) counts() []count {
	all := []count{
		{name: "seeds", n: &c.Seeds}, {name: "steps", n: &c.Steps}, {name: "messages", n: &c.Messages}, {name: "results", n: &c.Results},
		{name: "sends refused", n: &c.Refused}, {name: "moves", n: &c.Moves}, {name: "moves failed", n: &c.MovesFailed},
		{name: "places", n: &c.Places}, {name: "stale places", n: &c.Stale}, {name: "places followed", n: &c.Placed},
		{name: "crashes", n: &c.Crashes}, {name: "drains", n: &c.Drains}, {name: "silences", n: &c.Mutes}, {name: "bursts", n: &c.Bursts},
		{name: "path changes", n: &c.Paths}, {name: "paths switched", n: &c.Switches}, {name: "closes", n: &c.Closes}, {name: "lost", n: &c.Lost},
		{name: "fallbacks", n: &c.Fallbacks}, {name: "hedged", n: &c.Hedged}, {name: "replayed", n: &c.Replayed}, {name: "handled again", n: &c.Again},
		{name: "late outcomes dropped", n: &c.Dropped}, {name: "skipped", n: &c.Skipped}, {name: "late", n: &c.Late},
		{name: "stalls", n: &c.Stalls}, {name: "checkpoints", n: &c.Checkpoints},
	}
	for _, k := range []count{
		{name: "poison", n: &c.Poison}, {name: "overruns", n: &c.Overruns}, {name: "slow links", n: &c.Links}, {name: "refusals", n: &c.Refusals},
		{name: "certificates renewed", n: &c.Renewed}, {name: "foreign certificates", n: &c.Foreign}, {name: "sends beside shutdown", n: &c.Races},
	} {
		k.adversary = true
		all = append(all, k)
	}
	return all
}
