package replay

import "math"

const (
	// perMiss and perSecond are what a late call and a second above the temperature limit cost, in J: so much that the
	// optimum is first cool, then in time, then frugal.
	perMiss, perSecond = 1e4, 1e8
	// step is the grid of temperatures [K]; values between are interpolated.
	step = 0.1
)

// Optimum returns the best score that any policy could have: it knows all calls, and may move at each.
//
// It is a dynamic program from the last call to the first: the least cost from a call on, as a function of the temperature on a grid, is the better
// of the two places. The score is that of the way that it then takes, with the exact temperature. It hedges nothing and explores nothing.
//
// Of a function with levels each call has the best one that is in time on the edge.
func Optimum(t *Trace) Score {
	t, full := t.adapted(), t
	g := newGrid(t)
	value := make([][]float64, len(t.Calls)+1)
	value[len(t.Calls)] = make([]float64, g.n)
	for i := len(t.Calls) - 1; i >= 0; i-- {
		value[i] = make([]float64, g.n)
		for k := range value[i] {
			temperature := g.low + float64(k)*step
			here, _ := t.cost(i, false, temperature)
			there, _ := t.cost(i, true, temperature)
			value[i][k] = min(here+g.at(value[i+1], t.after(i, false, temperature)), there+g.at(value[i+1], t.after(i, true, temperature)))
		}
	}
	quality := 0
	s := t.walk(func(i int, temperature float64) bool {
		here, _ := t.cost(i, false, temperature)
		there, _ := t.cost(i, true, temperature)
		edge := there+g.at(value[i+1], t.after(i, true, temperature)) < here+g.at(value[i+1], t.after(i, false, temperature))
		level, c := 0, full.Calls[i]
		f := &t.Functions[c.F]
		if edge {
			level = f.finest(c)
		}
		quality += f.quality(level)
		return edge
	})
	s.Quality = float64(quality) / float64(len(t.Calls))
	return s
}

// Always returns the score of all calls at one place; calls that the edge host cannot take run on the UE.
func Always(t *Trace, edge bool) Score {
	return t.walk(func(i int, _ float64) bool { return edge && !t.Calls[i].Gone })
}

// walk returns the score of deciding so at each call.
func (t *Trace) walk(edge func(i int, temperature float64) bool) Score {
	s := Score{Calls: len(t.Calls)}
	temperature, above := t.Device.Start, 0.0
	for i := range t.Calls {
		there := edge(i, temperature)
		if _, late := t.cost(i, there, temperature); late {
			s.Misses++
		}
		s.Joules += t.joules(i, there)
		next := t.after(i, there, temperature)
		if t.Device.Limit != 0 && next > t.Device.Limit {
			above += t.gap(i)
		}
		temperature = next
	}
	s.Above = above / max(1e-9, t.seconds())
	return s
}

func (t *Trace) joules(i int, edge bool) float64 {
	if edge {
		return t.Device.there(&t.Calls[i])
	}
	return t.Device.here(&t.Calls[i])
}

// cost returns what call i costs at a place, and whether it is late there.
func (t *Trace) cost(i int, edge bool, temperature float64) (float64, bool) {
	c := &t.Calls[i]
	f := &t.Functions[c.F]
	took := c.UE
	if edge {
		took = c.Edge
		if c.Gone {
			return math.Inf(1), true
		}
	}
	cost, late := t.joules(i, edge), f.late(took)
	if late {
		cost += perMiss
	}
	if t.Device.Limit != 0 && t.after(i, edge, temperature) > t.Device.Limit {
		cost += perSecond * t.gap(i)
	}
	return cost, late
}

// after returns the temperature at the next call.
func (t *Trace) after(i int, edge bool, temperature float64) float64 {
	if t.Device.Limit == 0 {
		return temperature
	}
	next := t.Device.heat(temperature, t.Calls[i].Base, t.gap(i))
	if !edge {
		next += t.Device.impulse(t.Calls[i].cpu())
	}
	return next
}

// A grid has temperatures.
type grid struct {
	low float64
	n   int
}

func newGrid(t *Trace) grid {
	d := &t.Device
	if d.Limit == 0 {
		return grid{n: 1}
	}
	low := min(d.Ambient, d.Start, d.Limit) - 1
	high := max(d.Start, d.Limit) + 15
	return grid{low: low, n: int((high-low)/step) + 2}
}

// at interpolates; beyond the grid it is the value at its end.
func (g grid) at(values []float64, temperature float64) float64 {
	x := (temperature - g.low) / step
	k := int(min(max(x, 0), float64(g.n-1)))
	if k+1 >= g.n || x <= 0 {
		return values[k]
	}
	w := x - float64(k)
	return values[k]*(1-w) + values[k+1]*w
}
