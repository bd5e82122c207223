package replay

import (
	"slices"

	"github.com/bungee-xr/bungee/handler/ue/policy"
)

// encoded returns c with its input at a level: the request is smaller, and so is the time that the link takes for it.
func (f *Function) encoded(c Call, level int) Call {
	if level <= 0 || level >= len(f.Levels) {
		return c
	}
	up := int(float64(c.Up) * f.Levels[level].Bytes / f.Levels[0].Bytes)
	if c.Edge > 0 {
		c.Edge = max(c.Edge-float64(c.Up-up)/c.Rate*1e3, c.Run+c.Queue, 0.001)
	}
	c.Up = up
	return c
}

// finest returns the best level at which c is in time on the edge, or else the last one.
func (f *Function) finest(c Call) int {
	for l := range f.Levels {
		if at := f.encoded(c, l); !f.late(at.Edge) {
			return l
		}
	}
	return max(0, len(f.Levels)-1)
}

// quality returns the codec's quality at a level, and 0 without levels.
func (f *Function) quality(level int) int {
	if len(f.Levels) == 0 {
		return 0
	}
	return f.Levels[min(level, len(f.Levels)-1)].Quality
}

// levels returns what an application tells a policy of its levels.
func (f *Function) levels() (all []policy.Level) {
	for _, l := range f.Levels {
		all = append(all, policy.Level{Quality: l.Quality, Size: 1, Bytes: policy.Known(l.Bytes)})
	}
	return all
}

// adapted returns the trace with each call at the best level that is in time on the edge.
func (t *Trace) adapted() *Trace {
	at := *t
	at.Calls = slices.Clone(t.Calls)
	for i, c := range at.Calls {
		f := &t.Functions[c.F]
		at.Calls[i] = f.encoded(c, f.finest(c))
	}
	return &at
}
