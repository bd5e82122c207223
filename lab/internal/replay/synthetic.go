package replay

import (
	"math"
	"math/rand/v2"
)

// A maker makes up a trace: what a call takes at t seconds.
type maker struct {
	name, what string
	seconds    float64
	functions  []Function
	device     Device
	call       func(r *rand.Rand, t float64, c *Call)
}

var (
	detect = Function{Name: "detect", Deadline: 100, Rate: 15, Idempotent: true}
	// leveled is a detector on a UE which is too slow for it, and whose inputs can be encoded at four levels. Their sizes are chosen.
	leveled = Function{Name: "detect", Deadline: 100, Rate: 15, Levels: []Level{{90, 50_000}, {70, 25_000}, {50, 12_500}, {30, 6_000}}}
	// phone is a device of four cores of 1.2 W with a Wi-Fi radio; see package policy for where the numbers are from.
	phone = Device{Cores: 4, Watts: 1.2, Up: 2.265e-6, Down: 1.096e-6}
	// headset heats: 8 K a busy core, half of that within a minute.
	headset = Device{Cores: 4, Watts: 1.2, Up: 2.265e-6, Down: 1.096e-6, Ambient: 30, Rise: 16, Tau: 80, Limit: 42, Start: 33, Noise: 0.3}
)

// usual sets a call of a detector with 4 KB up: 40 ms here, 20 ms there, 10 of them in the function.
func usual(r *rand.Rand, c *Call, up int) {
	noise := func(x, sigma float64) float64 { return x * math.Exp(sigma*r.NormFloat64()) }
	c.UE, c.Run, c.Queue = noise(40, 0.05), noise(10, 0.1), noise(0.5, 0.5)
	c.RTT, c.Rate = noise(5, 0.1), 6.25e6
	c.Up, c.Down = int(noise(float64(up), 0.1)), 900
	c.Edge = c.Run + c.Queue + c.RTT + float64(c.Up)/c.Rate*1e3 + noise(2, 0.3)
	if r.IntN(200) == 0 { // a retransmission
		c.Edge += 60
	}
}

// slower makes the function at the host take so many times longer.
func (c *Call) slower(by float64) {
	c.Edge += (by - 1) * (c.Run + c.Queue)
	c.Run, c.Queue = c.Run*by, c.Queue*by
}

// link makes the link carry so many bytes a second.
func (c *Call) link(rate float64) {
	c.Edge += float64(c.Up) * (1/rate - 1/c.Rate) * 1e3
	c.Rate = rate
}

func wave(t, period float64) bool { return math.Mod(t, period) < period/2 }

var makers = []maker{
	{"calm", "both places are in time, and the edge takes less energy", 180, []Function{detect}, phone,
		func(r *rand.Rand, t float64, c *Call) { usual(r, c, 4_000) }},
	{"large frames", "both places are in time, and the UE takes less energy", 180, []Function{detect}, phone,
		func(r *rand.Rand, t float64, c *Call) { usual(r, c, 50_000) }},
	{"weak UE", "the UE is too slow for the deadline", 180, []Function{detect}, phone,
		func(r *rand.Rand, t float64, c *Call) { usual(r, c, 50_000); c.UE *= 3.2 }},
	{"throttled", "the UE becomes three times slower after 30 s", 180, []Function{detect}, phone,
		func(r *rand.Rand, t float64, c *Call) {
			usual(r, c, 50_000)
			if t > 30 {
				c.UE *= 3
			}
		}},
	{"fade", "the link carries 400 KB/s between 30 and 50 s", 180, []Function{detect}, phone,
		func(r *rand.Rand, t float64, c *Call) {
			usual(r, c, 50_000)
			c.CPU, c.UE = 80, c.UE*2 // two cores for 40 ms each, slower than the edge
			if t > 30 && t < 50 {
				c.link(400e3)
			}
		}},
	{"slow host", "the host is ten times slower between 30 and 60 s", 180, []Function{detect}, phone,
		func(r *rand.Rand, t float64, c *Call) {
			usual(r, c, 4_000)
			if t > 30 && t < 60 {
				c.slower(10)
			}
		}},
	{"lost host", "the host answers nothing from 30 s, is known to be gone from 31, and is back at 45", 180, []Function{detect}, phone,
		func(r *rand.Rand, t float64, c *Call) {
			usual(r, c, 4_000)
			if t > 30 && t < 45 {
				c.Edge, c.Gone = 0, t > 31
			}
		}},
	{"hot", "the UE takes less energy and would pass its temperature limit", 600, []Function{detect}, headset,
		func(r *rand.Rand, t float64, c *Call) { usual(r, c, 50_000); c.CPU = 90; c.Base = 0.2 }},
	{"hot and fading", "the same, on a link that fades for 10 s in each 40", 600, []Function{detect}, headset,
		func(r *rand.Rand, t float64, c *Call) {
			usual(r, c, 50_000)
			c.CPU, c.Base = 90, 0.2
			if math.Mod(t, 40) > 30 {
				c.link(400e3)
			}
		}},
	{"two functions", "one that heats much and one that heats little", 600, []Function{detect, {Name: "pose", Deadline: 50, Rate: 15, Idempotent: true}}, headset,
		func(r *rand.Rand, t float64, c *Call) {
			usual(r, c, 50_000)
			c.CPU, c.Base = 70, 0.2
			if c.F == 1 {
				c.UE, c.CPU = c.UE/2, 15
			}
		}},
	{"low battery", "the battery is nearly empty, and the edge takes less energy", 180, []Function{detect},
		Device{Cores: 4, Watts: 1.2, Up: 2.265e-6, Down: 1.096e-6, Battery: 0.15, Joules: 40_000},
		func(r *rand.Rand, t float64, c *Call) { usual(r, c, 8_000) }},
	{"adversary: host", "the host is ten times slower in each second half of 14 s", 180, []Function{detect}, phone,
		func(r *rand.Rand, t float64, c *Call) {
			usual(r, c, 4_000)
			if !wave(t, 14) {
				c.slower(10)
			}
		}},
	{"adversary: UE and host", "UE and host are late in turn, 5 s each", 180, []Function{detect}, phone,
		func(r *rand.Rand, t float64, c *Call) {
			usual(r, c, 4_000)
			if wave(t, 10) {
				c.slower(10)
			} else {
				c.UE *= 3
			}
		}},
	{"adversary: calls", "each call is late at one place or at the other, by chance", 180, []Function{detect}, phone,
		func(r *rand.Rand, t float64, c *Call) {
			usual(r, c, 4_000)
			if r.IntN(2) == 0 {
				c.slower(10)
			} else {
				c.UE *= 3
			}
		}},
	{"fidelity", "the UE is too slow, and the link carries 250 KB/s instead of 6.25 MB/s between 60 and 120 s: too little for full quality", 180, []Function{leveled}, phone,
		func(r *rand.Rand, t float64, c *Call) {
			usual(r, c, 50_000)
			c.UE *= 3.2
			if t > 60 && t < 120 {
				c.link(250e3)
			}
		}},
}

// Synthetic returns the made-up traces, the same each time.
func Synthetic() []*Trace {
	var all []*Trace
	for n, m := range makers {
		r := rand.New(rand.NewPCG(uint64(n), 15))
		t := &Trace{Head: Head{Trace: m.name, Origin: "synthetic: " + m.what, Functions: m.functions, Device: m.device, Radio: "wifi"}}
		for at := 0.0; at < m.seconds; at += 1 / m.functions[0].Rate {
			for f := range m.functions {
				c := Call{T: at, F: f}
				m.call(r, at, &c)
				t.Calls = append(t.Calls, c)
			}
		}
		all = append(all, t)
	}
	return all
}
