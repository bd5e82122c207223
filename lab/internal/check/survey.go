package check

import (
	"cmp"
	"slices"
)

// A Finding is how scripts failed that failed in one shape.
type Finding struct {
	Shape string
	N     int    // how many
	Seed  uint64 // the first of them
	More  []uint64
	Failure
}

// survey takes note of a failure, if all seeds are to be run whatever fails.
func (s *Seeds) survey(seed uint64, script *Script, why string) bool {
	if !s.Survey {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	is := shape(why)
	i := slices.IndexFunc(s.Findings, func(f *Finding) bool { return f.Shape == is })
	if i < 0 {
		i = len(s.Findings)
		s.Findings = append(s.Findings, &Finding{Shape: is, Seed: seed + 1})
	}
	f := s.Findings[i]
	f.N++
	if len(f.More) < 12 {
		f.More = append(f.More, seed)
	}
	if seed < f.Seed {
		f.Seed, f.Failure = seed, Failure{script, why}
	}
	slices.SortFunc(s.Findings, func(a, b *Finding) int { return cmp.Compare(a.Seed, b.Seed) })
	return true
}
