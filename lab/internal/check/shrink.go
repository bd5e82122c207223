package check

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
)

// shrinkRuns bounds how many scripts shrinking runs.
const shrinkRuns = 2500

// Shrink returns a script as small as can be found for which fails gives a reason
// of the same shape, and that reason. s itself failed because of why.
func Shrink(s *Script, why string, fails func(*Script) string) (*Script, string) {
	left, want, tries := shrinkRuns, shape(why), 0
	again := func(c *Script) bool {
		left--
		w := fails(c)
		if w == "" || shape(w) != want {
			return false
		}
		s, why = c, w
		return true
	}
	still := func(c *Script) bool {
		for i := 0; i < tries && left > 0; i++ {
			if again(c) {
				return true
			}
		}
		return false
	}
	for progress := true; progress && left > 0; {
		tries = triesOf(s, again)
		progress = dropSteps(&s, still)
		progress = dropChannels(&s, still) || progress
		progress = lessen(&s, still) || progress
	}
	return s, why
}

// triesOf returns how often a smaller script is run before it counts as one that
// passes. How goroutines take turns is not in a script: what fails in one run of
// two is tried until it is unlikely, by one in fifty, that it fails at all.
func triesOf(s *Script, again func(*Script) bool) int {
	const runs = 8
	failed := 1
	for range runs {
		if again(s) {
			failed++
		}
	}
	passes := 1 - float64(failed)/(runs+2)
	return int(math.Ceil(math.Log(0.02) / math.Log(passes)))
}

var number = regexp.MustCompile("[0-9]+")

// shape is what reasons of one kind have in common: their first words, but for
// numbers. Without it shrinking would wander from one fault to another.
func shape(why string) string {
	words := strings.Fields(number.ReplaceAllString(why, "#"))
	return strings.Join(words[:min(len(words), 3)], " ")
}

// dropSteps leaves out runs of steps, long ones first.
func dropSteps(s **Script, still func(*Script) bool) (progress bool) {
	for size := len((*s).Steps); size > 0; size /= 2 {
		for at := 0; at+size <= len((*s).Steps); {
			c := (*s).clone()
			c.Steps = slices.Delete(c.Steps, at, at+size)
			if still(c) {
				progress = true
			} else {
				at += size
			}
		}
	}
	return progress
}

// dropChannels leaves out channels and their steps.
func dropChannels(s **Script, still func(*Script) bool) (progress bool) {
	for ch := len((*s).Channels) - 1; ch >= 0 && len((*s).Channels) > 1; ch-- {
		c := (*s).clone()
		c.Channels = slices.Delete(c.Channels, ch, ch+1)
		c.Steps = slices.DeleteFunc(c.Steps, func(st Step) bool { return st.forChannel() && st.Chan == ch })
		for i := range c.Steps {
			if c.Steps[i].Chan > ch {
				c.Steps[i].Chan--
			}
		}
		progress = still(c) || progress
	}
	return progress
}

// lessen takes the values of fields away, or halves them, one by one.
func lessen(s **Script, still func(*Script) bool) (progress bool) {
	for i := range (*s).lists() {
		for j := range (*s).lists()[i] {
			for _, less := range []func(any) bool{zero, halve} {
				c := (*s).clone()
				if f := c.lists()[i][j]; f.name != "chan" && f.name != "host" && f.name != "seed" && f.name != "adversary" && less(f.at) {
					progress = still(c) || progress
				}
			}
		}
	}
	return progress
}

// lists returns the fields of all lines.
func (s *Script) lists() [][]field {
	all := [][]field{s.fields()}
	for i := range s.Channels {
		all = append(all, s.Channels[i].fields())
	}
	for i := range s.Steps {
		all = append(all, s.Steps[i].fields())
	}
	return all
}

func (s *Script) clone() *Script {
	c := *s
	c.Channels, c.Steps = slices.Clone(s.Channels), slices.Clone(s.Steps)
	return &c
}

func (s *Step) forChannel() bool {
	return slices.Contains([]Op{Send, Pause, Move, Place, Close, Shutdown}, s.Op)
}

// zero takes a value away. It returns false if it is zero already.
func zero(at any) bool {
	switch at := at.(type) {
	case *bool:
		return set(at, false)
	case *int:
		return set(at, 0)
	case *uint64:
		return set(at, 0)
	case *time.Duration:
		return set(at, 0)
	case *Host:
		return set(at, "")
	case *[]Host:
		changed := len(*at) > 0
		*at = nil
		return changed
	}
	return false
}

func set[T comparable](at *T, v T) bool {
	changed := *at != v
	*at = v
	return changed
}

// halve halves a number. It says no where that changes nothing.
func halve(at any) bool {
	switch at := at.(type) {
	case *int:
		return set(at, *at/2)
	case *time.Duration:
		return set(at, (*at / 2).Round(time.Millisecond))
	case *[]Host:
		if n := len(*at); n > 1 {
			*at = (*at)[: n-1 : n-1]
			return true
		}
	}
	return false
}
