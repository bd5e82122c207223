package check

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Attack makes the script of a seed for an adversary: what [Generate] draws, what breaks
// and overruns, and scenes, rows of steps that it would hardly draw. A script has some kinds of
// faults only: where nothing else excuses a channel, it can be judged.
func Attack(seed uint64) *Script {
	a := &attacker{generator: generator{Rand: rand.New(rand.NewPCG(seed, 2)), down: map[Host]bool{}}}
	s := &Script{Seed: seed, Adversary: true, Delay: pick(&a.generator, 0, time.Millisecond, time.Millisecond, 5*time.Millisecond, 20*time.Millisecond)}
	for range pick(&a.generator, 1, 1, 1, 2, 3) {
		s.Channels = append(s.Channels, a.settings())
		a.at = append(a.at, UE)
	}
	a.kinds()
	if a.chance(55) {
		scenes[a.IntN(len(scenes))](a, s, a.IntN(len(s.Channels)))
	}
	for i := range s.Channels {
		s.Steps = append(s.Steps, a.plain(i, s.Channels[i]), a.move(i))
	}
	for range 1 + a.IntN(14) {
		s.Steps = append(s.Steps, a.step(s.Channels)...)
		if a.chance(60) {
			s.Steps = append(s.Steps, wait(a.time(100*time.Millisecond)))
		}
	}
	s.Steps = append(s.Steps, wait(a.time(500*time.Millisecond)))
	return s
}

// An attacker is a generator that knows which kinds of faults its script has.
type attacker struct {
	generator
	poison, overrun, lives, air, links, refusals, ends bool
}

// kinds decides which kinds of faults the script has.
func (a *attacker) kinds() {
	for _, kind := range []*bool{&a.poison, &a.overrun, &a.lives, &a.air, &a.links, &a.refusals, &a.ends} {
		*kind = a.chance(30)
	}
}

func wait(d time.Duration) Step { return Step{Op: Wait, For: d} }

func (a *attacker) settings() Settings {
	s := a.generator.settings()
	s.Standby = nil
	for _, i := range a.Perm(len(hosts))[:pick(&a.generator, 0, 1, 1, 2, 2, 3)] {
		s.Standby = append(s.Standby, hosts[i])
	}
	s.Bytes = pick(&a.generator, 0, 0, 0, 1, 1000, 64<<10)
	s.Deadline = pick(&a.generator, 0, 0, 50*time.Millisecond, 100*time.Millisecond, 200*time.Millisecond, time.Second)
	s.Pad = pick(&a.generator, 0, 0, 0, 0, 1000, 30_000)
	if s.Pad > 0 {
		s.Checkpoint = 0
	}
	return s
}

// plain sends messages without poison.
func (a *attacker) plain(ch int, of Settings) Step {
	s := a.send(ch, of)
	s.Trap = 0
	return s
}

// bad sends messages with the script's kinds of poison.
func (a *attacker) bad(ch int, of Settings) Step {
	s := a.plain(ch, of)
	if a.poison && a.chance(50) && (of.Latest || !of.Once) {
		*pick(&a.generator, &s.Trap, &s.Panic, &s.Panic, &s.Memory, &s.Large) = 1 + a.IntN(12)
	}
	if a.overrun && a.chance(50) {
		*pick(&a.generator, &s.Overrun, &s.Overrun, &s.Stubborn) = 2 + a.IntN(15)
	}
	return s
}

func (a *attacker) move(ch int) Step {
	s := a.generator.move(ch)
	s.Beside = a.chance(20)
	return s
}

func (a *attacker) step(channels []Settings) []Step {
	ch := a.IntN(len(channels))
	switch n := a.IntN(100); {
	case n < 18:
		return []Step{a.move(ch)}
	case n < 24:
		return a.ordered(ch, a.lives)
	case n < 30:
		return []Step{{Op: Pause, Chan: ch, For: a.time(pick(&a.generator, time.Second, 20*time.Second))}}
	case n < 35:
		return []Step{{Op: Slow, Host: a.used(), Every: pick(&a.generator, 0, a.time(20*time.Millisecond))}}
	case n < 47 && a.lives:
		return []Step{a.life()}
	case n < 51 && a.lives:
		return []Step{{Op: Mute, Host: a.used(), For: a.time(pick(&a.generator, 100*time.Millisecond, time.Second, 10*time.Second))}}
	case n < 56 && a.air:
		return []Step{pick(&a.generator, a.weather(), Step{Op: Path, Told: a.chance(30)})}
	case n < 63 && a.links:
		return []Step{a.link(a.used())}
	case n < 69 && a.refusals:
		return []Step{a.refuse(pick(&a.generator, A, B, C))}
	case n < 73 && a.ends:
		return []Step{a.bad(ch, channels[ch]), {Op: pick(&a.generator, Close, Shutdown, Shutdown), Chan: ch, Racing: a.chance(60)}}
	}
	return []Step{a.bad(ch, channels[ch])}
}

// life ends a host or begins it again, at times with another certificate.
func (a *attacker) life() Step {
	s := a.generator.life()
	switch {
	case s.Op == Start && a.chance(40):
		s.Renewed = a.chance(60)
		s.Foreign = !s.Renewed
	case s.Op == Drain && a.chance(40):
		s.For = 10 * time.Second
	}
	a.down[s.Host] = s.Op != Start || s.Foreign
	return s
}

func (a *attacker) link(h Host) Step {
	s := Step{Op: Link, Host: h, For: a.time(10 * time.Second), Rate: pick(&a.generator, 1, 2, 3, 5, 20) * 1_000_000}
	if a.chance(20) {
		s.Loss = 1 + a.IntN(5)
	}
	return s
}

func (a *attacker) refuse(h Host) Step {
	s := Step{Op: Refuse, Host: h, For: a.time(3 * time.Second), Restore: a.chance(60)}
	s.Save = !s.Restore || a.chance(20)
	return s
}

// places returns edge hosts in some order.
func (a *attacker) places() (Host, Host, Host) {
	all := slices.Clone(hosts)
	a.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[0], all[1], all[2]
}
