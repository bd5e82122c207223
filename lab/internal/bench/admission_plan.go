package bench

import (
	"fmt"
	"slices"
	"time"
)

// What paper 000 has: UEs of so many frames each; a frame that is answered after half a second is lost.
const (
	AdmissionFrames = 188 // of a UE
	admissionWithin = 500 * time.Millisecond
	quickSpeed      = 5  // times that a quick run compresses time
	closedMost      = 30 // frames a second of a UE that sends the next one after the answer
)

// askTimes are when the paper's UEs ask: 3 at once, then 7 more in 40 s.
var askTimes = []time.Duration{0, 0, 0, 5 * time.Second, 10 * time.Second, 15 * time.Second, 15 * time.Second, 25 * time.Second, 25 * time.Second, 40 * time.Second}

// A share is an edge host, and how much of a core it has. Together they have 1.2 cores of two, so the load's side is not short of them.
type share struct {
	name  string
	cores float64
	limit int // sessions that the paper's static limit allows
}

var shares = []share{{"edge-a", 0.48, 2}, {"edge-b", 0.36, 1}, {"edge-c", 0.36, 1}}

// A load is how much of the fastest host a session needs.
type load struct {
	name string
	part float64
	runs int // repeats of the judged mode
}

var loads = []load{{"matched", 0.4, 10}, {"light", 0.2, 5}, {"heavy", 0.8, 5}}

// The arms: who decides, and what they know.
const (
	armLeast    = "least-allocated"              // allow-all: an emulation of the default Kubernetes scheduler
	armPaper    = "algorithm-1"                  // a fixed capacity, and probes one after another
	armParallel = "algorithm-1, parallel probes" // the first step of the ablation
	armOnce     = "ours, placed once"            // the second: capacity is learned, and nobody is looked at again
	armOurs     = "ours"                         // with the re-check, the third
)

// The modes.
const (
	modeOpen   = "open"             // a frame at a fixed rate, whatever happens
	modeClosed = "closed"           // the paper's client: the next frame after the answer
	modeSlots  = "open, 45 s slots" // a slot is held for 45 s, as the prototype does
)

// slotTime is how long the prototype keeps a slot.
const slotTime = 45 * time.Second

// A runPlan is a run of the experiment.
type runPlan struct {
	Load, Mode, Arm string
	Repeat          int // from 1
}

func (p runPlan) String() string {
	return fmt.Sprintf("%s/%s/%s/%d", p.Load, p.Mode, p.Arm, p.Repeat)
}

// plans returns all runs. Arms take turns, so that those of one repeat see the machine in the same hour, and what is judged comes first.
func plans(quick bool) (all []runPlan) {
	add := func(l, mode string, runs int, arms ...string) {
		for n := range runs {
			for _, a := range arms {
				all = append(all, runPlan{l, mode, a, n + 1})
			}
		}
	}
	if quick {
		add(loads[0].name, modeOpen, 1, armPaper, armOurs)
		return all
	}
	for _, l := range loads {
		add(l.name, modeOpen, l.runs, armLeast, armPaper, armOurs)
	}
	const reported = 3
	add(loads[0].name, modeOpen, reported, armParallel, armOnce)
	add(loads[0].name, modeClosed, reported, armLeast, armPaper, armOurs)
	add(loads[0].name, modeSlots, reported, armLeast, armPaper, armOurs)
	return all
}

// clairvoyant returns how many of those who come at these times, in order, the best packing serves, where each stays for so long and
// so many fit at once: whoever finds a slot has it. With sessions of one length no other choice serves more.
func clairvoyant(at []time.Duration, long time.Duration, slots int) (served int) {
	var ends []time.Duration // of those that are served
	for _, t := range at {
		ends = slices.DeleteFunc(ends, func(e time.Duration) bool { return e <= t })
		if len(ends) < slots {
			ends = append(ends, t+long)
			served++
		}
	}
	return served
}

// sessionsIn returns how many sessions of a rate a host takes that computes so many frames a second.
func sessionsIn(perSecond, rate float64) int {
	const rounding = 1e-9
	if rate <= 0 {
		return 0
	}
	return int(perSecond/rate + rounding)
}
