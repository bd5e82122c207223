// Package placement decides on which edge host a session runs.
//
// A [Snapshot] holds what is known: hosts, what they are asked to do, and sessions with what they need and measured.
// [Decide] looks at one session in it. It says whether the session is admitted, stays, moves or runs on its UE, with
// a standby, the reason, and what it predicts. Admission, re-check, move and drain are the same function; only the
// snapshot differs. [Thresholds.Decide] is Algorithm 1 of paper 000, with the same signature.
//
//	d := placement.Decide(now, snapshot, id)
//	log.Print(d) // "ue-1 placed on edge-2 (standby edge-1): ..."
//	x.Primary, x.Standby = d.Primary, d.Standby
//	snapshot.SetSession(x) // from here on it is reserved there
//
// # What a decision keeps
//
// A host is feasible for a session when, with it, the session and each session that is there have 99 of 100 calls
// back in time, as predicted, and when turns, memory, labels and price allow it. So no decision breaks a session that was
// admitted, by what the decision knows. What it knows may be wrong: a session that misses is re-checked.
//
// # Concurrency
//
// Everything is a pure function of its arguments: no clock, no network, no goroutine, and the same answer whatever
// the order in which hosts and sessions came. A Snapshot belongs to one goroutine while it changes; any number may
// decide on it meanwhile if it does not.
package placement

import "time"

// What the decisions are made with.
const (
	// Settle is how long a session counts by what it needs, from the first beat that shows it. Until
	// then the calls that its host has counted are not yet its usual ones.
	Settle = 10 * time.Second
	// Dwell is the least time between two moves of a session that is not forced to move.
	Dwell = 10 * time.Second
	// MaxArriving is how many sessions may be on their way onto a host at once. Each brings its module and state.
	MaxArriving = 2
	// MaxMissed is the share of calls that a session may miss before it looks for another host.
	MaxMissed = 0.005
	// Gain is how much shorter calls must be elsewhere for a session to move: it costs a handover.
	Gain = 0.8
	// Alike is up to which factor over the shortest latency hosts count as equally good.
	Alike = 1.1
	// MaxCandidates is how many hosts a UE is asked to measure.
	MaxCandidates = 16
)

// A Digest names a module: the SHA-256 of its bytes.
type Digest [32]byte

// Need is what a session requires. The zero Need requires nothing.
type Need struct {
	Latency   time.Duration // of 99 of 100 calls, from request to reply, at the UE; 0: no bound
	Rate      float64       // calls a second; 0: as many as InFlight allows
	InFlight  int           // calls at once; 0: 1
	Up, Down  int64         // bytes of a request and of a reply
	Memory    int64         // bytes of an instance
	Instances int           // at once; 0: InFlight
	Labels    []string      // that the host must have, "key=value"
	Price     float64       // the most that the host may cost an hour; 0: any
}

// A Link is what a UE has measured of its way to a host.
type Link struct {
	Host string
	RTT  time.Duration
	Rate float64 // bytes a second; 0: not known, and counts as any
	// Factor is how many times longer the session's calls take in the host than the host says; below 1: as it says.
	Factor float64
}

// Felt is what the calls of a session were like lately, at its primary.
type Felt struct {
	Calls, Missed uint64        // of the last 30 s or so
	P99           time.Duration // from request to reply
}

// A Session is one module of one UE.
type Session struct {
	ID      string // of UE and session
	Module  Digest
	Need    Need
	Links   []Link // those that the UE measured, in its order; a host that is not here is not feasible
	Primary string // host that it is placed on; "": it runs on the UE
	Standby string
	Shown   time.Time // when a beat of Primary first showed it there; zero: not yet
	Moved   time.Time // when it was last moved from one host to another; zero: never
	Felt    Felt
}

// A State says whether a host takes sessions.
type State int

// The states of a host. The zero State takes none.
const (
	Silent   State = iota // nothing is heard of it: its sessions are lost
	Draining              // it lets go of its sessions
	Cordoned              // it keeps its sessions and takes no more
	Ready
)

// String returns the state's name.
func (s State) String() string {
	if s < Silent || s > Ready {
		return "unknown"
	}
	return [...]string{"silent", "draining", "cordoned", "ready"}[s]
}

// A Module is what a host knows of a module.
type Module struct {
	Digest   Digest
	Service  time.Duration // S, mean time of a call in a turn; 0: not known
	Tail     float64       // p99 of a call's time in the host over its mean; 0: 2
	Probe    time.Duration // L_inf, the last probe's time of a call in the host; 0: not known
	Present  bool          // its bytes are there
	Compiled bool          // a call starts at once
}

// A Host is an edge host.
type Host struct {
	Name    string
	State   State
	Labels  []string
	Price   float64   // an hour
	Memory  int64     // bytes for instances, in all
	Turns   float64   // that it says it has
	Learned float64   // turns that it has as far as calls wait; 0: Turns
	Load    float64   // turns that its calls use on average
	Stretch float64   // how many times longer than in a turn calls take there; below 1: 1
	Factor  float64   // how many times longer calls take there than it says; below 1: as it says
	Drained time.Time // when it ends what is left, if it drains
	Limit   int       // sessions, for Algorithm 1; 0: none
	Modules []Module
}
