package check

import (
	"math/rand/v2"
	"time"
)

// Generate makes the script of a seed.
func Generate(seed uint64) *Script {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), down: map[Host]bool{}}
	s := &Script{Seed: seed, Delay: pick(g, 0, time.Millisecond, 5*time.Millisecond, 20*time.Millisecond)}
	for range pick(g, 1, 1, 2, 3) {
		s.Channels = append(s.Channels, g.settings())
		g.at = append(g.at, UE)
	}
	for i := range s.Channels { // traffic begins at once, and the first move comes during it
		s.Steps = append(s.Steps, g.send(i, s.Channels[i]), g.move(i))
	}
	for range 4 + g.IntN(20) {
		s.Steps = append(s.Steps, g.step(s.Channels)...)
		if g.chance(60) {
			s.Steps = append(s.Steps, Step{Op: Wait, For: g.time(100 * time.Millisecond)})
		}
	}
	// The end of a script ends all faults: the last ones need time to do harm.
	s.Steps = append(s.Steps, Step{Op: Wait, For: g.time(500 * time.Millisecond)})
	return s
}

// A generator draws the parts of a script. It keeps in mind what they do, as far as
// that is worth: faults strike hosts in use most of the time.
type generator struct {
	*rand.Rand
	at     []Host // where each channel was moved last
	down   map[Host]bool
	number int // of the last Place
}

// pick returns one of its values.
func pick[T any](g *generator, of ...T) T { return of[g.IntN(len(of))] }

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

// time returns a time of 1 ms to most, short ones more often.
func (g *generator) time(most time.Duration) time.Duration {
	part := g.Float64()
	return (time.Duration(part*part*float64(most)) + time.Millisecond).Round(time.Millisecond)
}

// used returns an edge host, with a channel on it if it can be.
func (g *generator) used() Host {
	if h := pick(g, g.at...); h != UE && g.chance(75) {
		return h
	}
	return pick(g, A, B, C)
}

// gone returns an edge host, one that is down if it can be.
func (g *generator) gone() Host {
	for _, h := range hosts {
		if g.down[h] && g.chance(75) {
			return h
		}
	}
	return pick(g, A, B, C)
}

func (g *generator) settings() Settings {
	return Settings{
		Latest: g.chance(25), Once: g.chance(15),
		Standby:    pick(g, nil, []Host{A}, []Host{B}, []Host{C}),
		Window:     pick(g, 0, 0, 1, 2, 5, 16, 64),
		Bytes:      pick(g, 0, 0, 0, 1000, 64<<10),
		InFlight:   pick(g, 0, 1, 4),
		Deadline:   pick(g, 0, 0, 50*time.Millisecond, 200*time.Millisecond),
		Checkpoint: pick(g, 0, 1, 7, 30),
		Interval:   pick(g, 0, 20*time.Millisecond, 200*time.Millisecond),
	}
}

// send sends little most of the time, so that a seed takes little.
func (g *generator) send(ch int, of Settings) Step {
	s := Step{
		Op: Send, Chan: ch, N: 1 + g.IntN(40), Size: pick(g, 8, 8, 200, 200, 2000),
		Every: pick(g, 0, 0, g.time(20*time.Millisecond)), Vary: g.chance(50),
	}
	if g.chance(5) {
		s.N, s.Size = 1+g.IntN(5), 64<<10
	}
	if g.chance(20) {
		s.Fail = 1 + g.IntN(7)
	}
	if g.chance(10) && !of.Once {
		s.Trap = 2 + g.IntN(20)
	}
	if g.chance(15) {
		s.Patience = g.time(10 * time.Millisecond)
	}
	return s
}

func (g *generator) move(ch int) Step {
	s := Step{Op: Move, Chan: ch, Host: pick(g, UE, A, A, B, B, C, C)}
	if g.chance(15) {
		s.Patience = g.time(50 * time.Millisecond)
	}
	if !g.down[s.Host] {
		g.at[ch] = s.Host
	}
	return s
}

func (g *generator) step(channels []Settings) []Step {
	ch := g.IntN(len(channels))
	switch n := g.IntN(100); {
	case n < 32:
		return []Step{g.send(ch, channels[ch])}
	case n < 52:
		return []Step{g.move(ch)}
	case n < 58:
		return g.ordered(ch, true)
	case n < 64:
		return []Step{{Op: Pause, Chan: ch, For: g.time(time.Second)}}
	case n < 69:
		return []Step{{Op: Slow, Host: g.used(), Every: pick(g, 0, g.time(20*time.Millisecond))}}
	case n < 84:
		return []Step{g.life()}
	case n < 89:
		return []Step{{Op: Mute, Host: g.used(), For: g.time(pick(g, 100*time.Millisecond, time.Second, 10*time.Second))}}
	case n < 94:
		return []Step{g.weather()}
	case n < 97:
		return []Step{{Op: Path, Told: g.chance(30)}}
	}
	return []Step{{Op: pick(g, Close, Shutdown), Chan: ch}}
}

// ordered is what a manager tells a channel: a Place, which may come again or be overtaken by the next one. With drains it may be an eviction: the
// host before ends a while later, whether the channel has left it or not.
func (g *generator) ordered(ch int, drains bool) []Step {
	before, p := g.at[ch], g.place(ch)
	switch pick(g, 0, 0, 1, 2, 3) {
	case 1:
		return []Step{p, {Op: Wait, For: g.time(50 * time.Millisecond)}, p}
	case 2:
		next := g.place(ch)
		return []Step{next, p}
	case 3:
		if drains && before != UE && before != p.Host && !g.down[before] {
			g.down[before] = true
			return []Step{p, {Op: Wait, For: g.time(time.Second)}, {Op: Drain, Host: before, For: g.time(200 * time.Millisecond)}}
		}
	}
	return []Step{p}
}

func (g *generator) place(ch int) Step {
	g.number++
	s := Step{Op: Place, Chan: ch, N: g.number, Host: pick(g, UE, A, A, B, B, C, C), Patience: pick(g, 0, g.time(50*time.Millisecond), 10*time.Second)}
	if h := pick(g, A, B, C); s.Host != UE && h != s.Host {
		s.Standby = h
	}
	if !g.down[s.Host] {
		g.at[ch] = s.Host
	}
	return s
}

// life ends a host or begins it again.
func (g *generator) life() Step {
	s := Step{Op: pick(g, Crash, Crash, Crash, Drain, Start, Start, Start), Host: g.used()}
	switch s.Op {
	case Crash:
		s.Told = g.chance(50)
	case Drain:
		s.For = g.time(200 * time.Millisecond)
	case Start:
		s.Host = g.gone()
	}
	g.down[s.Host] = s.Op != Start
	return s
}

func (g *generator) weather() Step {
	s := Step{Op: Air, For: g.time(2 * time.Second)}
	for _, percent := range []*int{&s.Loss, &s.Dup, &s.Late} {
		if g.chance(50) {
			*percent = 1 + g.IntN(20)
		}
	}
	s.Jitter = pick(g, 0, g.time(20*time.Millisecond))
	s.Rate = pick(g, 0, 0, 2_000_000, 20_000_000)
	return s
}
