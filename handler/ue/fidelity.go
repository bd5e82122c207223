package ue

import (
	"errors"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/offload"
)

// maxLevels bounds the fidelities of a function.
const maxLevels = 16

// SetLevels says at which fidelities an application can encode the inputs of f, the best first. Bytes, UE and Edge of a level are what
// the application knows of it; what it leaves unknown is learned from calls. None means that there is one fidelity.
func (h *Handler) SetLevels(f *offload.Desc, levels []policy.Level) error {
	if len(levels) > maxLevels {
		return fmt.Errorf("%s has %d fidelities, over %d", f.Name, len(levels), maxLevels)
	}
	for i, l := range levels {
		if l.Quality < 0 || l.Quality > 100 || !(l.Size >= 0 && l.Size <= 1) {
			return fmt.Errorf("fidelity %d of %s has quality %d and size %v: 0 to 100, and 0 to 1, are possible", i, f.Name, l.Quality, l.Size)
		}
		if i > 0 && l.Size > levels[i-1].Size && l.Quality > levels[i-1].Quality {
			return errors.New("the fidelities are not in order: the best is first")
		}
	}
	k := h.function(f)
	all := append([]policy.Level(nil), levels...)
	k.levels.Store(&all)
	k.level.Store(0)
	note(h.viewer.wake)
	return nil
}

// Fidelity says at which fidelity the input of the next call of f is to be encoded: the highest with which it is in time where it
// is to run. The number is that of SetLevels. It costs what a decision costs, and allocates nothing. What the next call takes is
// counted as of this level; with several callers of one function at the same time, all use the level that was told last.
func (h *Handler) Fidelity(f *offload.Desc) (level policy.Level, number int) {
	k := h.function(f)
	levels := k.levels.Load()
	if levels == nil || len(*levels) == 0 {
		return policy.Level{Size: 1}, 0
	}
	d := h.policy.Load().Foresee(k.next(), h.viewer.view.Load())
	number = min(int(d.Fidelity), len(*levels)-1)
	k.level.Store(uint32(number))
	return (*levels)[number], number
}

// next returns the call that comes next.
func (f *function) next() policy.Call {
	return policy.Call{Function: f.number, Number: f.calls.Load(), Ready: f.whyNot() == nil, Now: f.now()}
}

// A level is what is learned of a fidelity.
type level struct {
	bytes, here, there mean
}

// A mean is a moving average in s, or bytes.
type mean struct {
	value float64
	n     int
}

func (m *mean) add(x float64) {
	m.n++
	m.value += (x - m.value) / float64(min(m.n, 8))
}

// or puts what is learned in place of what the application said.
func (m *mean) time(said policy.Reading[time.Duration]) policy.Reading[time.Duration] {
	if m.n == 0 {
		return said
	}
	return policy.Known(time.Duration(m.value * float64(time.Second)))
}

// lookAtLevels puts the fidelities into a view.
func (k *learned) lookAtLevels(f *policy.Function, here, there []sample) {
	said := k.f.levels.Load()
	if said == nil {
		return
	}
	if len(k.levels) != len(*said) {
		k.levels = make([]level, len(*said))
	}
	for _, s := range here {
		if s.level < len(k.levels) {
			k.levels[s.level].here.add(s.Took.Seconds())
		}
	}
	for _, s := range there {
		if s.level < len(k.levels) && s.Run > 0 {
			k.levels[s.level].there.add(s.Run.Seconds())
			k.levels[s.level].bytes.add(float64(s.Up))
		}
	}
	f.Levels = append([]policy.Level(nil), *said...)
	for i := range k.levels {
		l, to := &k.levels[i], &f.Levels[i]
		to.UE, to.Edge = l.here.time(to.UE), l.there.time(to.Edge)
		if l.bytes.n > 0 {
			to.Bytes = policy.Known(l.bytes.value)
		}
	}
}
