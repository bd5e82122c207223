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
	Closes, Lost                       atomic.Int64 // Lost: channels that ended with ErrLost
	Fallbacks, Replayed, Dropped       atomic.Int64
	Hedged                             atomic.Int64 // fallbacks because of a deadline
	Again                              atomic.Int64 // a far endpoint handled a message that another one had handled
	Skipped, Late, Stalls, Checkpoints atomic.Int64
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

// All returns all counts by name.
func (c *Counts) All() iter.Seq2[string, int64] {
	return func(yield func(string, int64) bool) {
		for _, k := range c.counts() {
			if !yield(k.name, k.n.Load()) {
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

// Missing returns the kinds of events that never happened.
func (c *Counts) Missing() []string {
	var names []string
	for name, n := range c.All() {
		if n == 0 {
			names = append(names, name)
		}
	}
	return names
}

// A count is one number of Counts with its name.
type count struct {
	name string
	n    *atomic.Int64
}

func (c *Counts) counts() []count {
	return []count{
		{"seeds", &c.Seeds}, {"steps", &c.Steps}, {"messages", &c.Messages}, {"results", &c.Results},
		{"sends refused", &c.Refused}, {"moves", &c.Moves}, {"moves failed", &c.MovesFailed},
		{"crashes", &c.Crashes}, {"drains", &c.Drains}, {"silences", &c.Mutes}, {"bursts", &c.Bursts}, {"path changes", &c.Paths},
		{"paths switched", &c.Switches}, {"closes", &c.Closes}, {"lost", &c.Lost}, {"fallbacks", &c.Fallbacks}, {"hedged", &c.Hedged},
		{"replayed", &c.Replayed}, {"handled again", &c.Again}, {"late outcomes dropped", &c.Dropped},
		{"skipped", &c.Skipped}, {"late", &c.Late}, {"stalls", &c.Stalls}, {"checkpoints", &c.Checkpoints},
	}
}
