package policy

import (
	"math"
	"time"
)

// taus are the time constants that a Thermometer compares [s]: from a bare processor to a phone's case. A phone's skin takes
// some minutes to follow its processor.
var taus = [...]float64{10, 20, 40, 80, 160, 320}

const (
	// usualAmbient is where a device is taken to go without load while its readings do not say so [°C], and how sure that is [K].
	usualAmbient, ambientError = 25, 10
	// forgets is the time after which a reading counts e times less [s]: the sun comes out, a case is put on.
	forgets = 600
	// leastReadings is how many readings a model needs.
	leastReadings = 8
	// longestGap is the longest time between two readings that the load before says something of [s].
	longestGap = 60
)

// A Thermometer fits the model [Thermal] to readings of temperature and load. The zero Thermometer knows nothing. It belongs to one goroutine.
//
// For each of a few time constants it filters the load as such a device would, and fits the temperature to that by least squares:
// T = Ambient + Rise x + Start exp(-t/Tau), with x the filtered load. The time constant with the least error wins. Noise of the
// sensor does not bias this, as it would a fit of the temperature's slope.
type Thermometer struct {
	n    int
	last time.Duration
	fits [len(taus)]fit
}

// A fit is the least squares of one time constant: sums over the readings of the products of (1, x, z, T).
type fit struct {
	x, z float64 // filtered load, and what is left of the start
	sums [4][4]float64
}

// Add adds the temperature [°C] at a time, and the busy cores since the reading before. What is not known, and a time that does not
// advance, is left out. After a gap of a minute it begins anew.
func (t *Thermometer) Add(at time.Duration, temperature, load Reading[float64]) {
	degrees, known := temperature.Get()
	busy, also := load.Get()
	if !known || !also || busy < 0 {
		return
	}
	dt := (at - t.last).Seconds()
	if t.n > 0 && dt <= 0 {
		return
	}
	if t.n == 0 || dt > longestGap {
		*t = Thermometer{n: 1, last: at}
		for i := range t.fits {
			t.fits[i] = fit{x: busy, z: 1}
			t.fits[i].add(0, degrees)
		}
		return
	}
	t.n++
	t.last = at
	for i := range t.fits {
		f := &t.fits[i]
		keep := math.Exp(-dt / taus[i])
		f.x = busy + (f.x-busy)*keep
		f.z *= keep
		f.add(dt, degrees)
	}
}

func (f *fit) add(dt, degrees float64) {
	keep := math.Exp(-dt / forgets)
	row := [4]float64{1, f.x, f.z, degrees}
	for i := range row {
		for j := range row {
			f.sums[i][j] = f.sums[i][j]*keep + row[i]*row[j]
		}
	}
}

// solve returns ambient, rise and start, and the sum of squared errors. Each is held near what is usual with the weight of one reading
// of that error, so that a load that never changes gives an answer, too.
func (f *fit) solve() (v [3]float64, err2 float64, ok bool) {
	var m [3][4]float64
	for i := range m {
		copy(m[i][:], f.sums[i][:])
	}
	m[0][0] += 1.0 / (ambientError * ambientError)
	m[0][3] += usualAmbient / float64(ambientError*ambientError)
	m[1][1] += 1e-6
	m[2][2] += 1e-4
	if v, ok = gauss(m); !ok {
		return v, 0, false
	}
	row := [4]float64{v[0], v[1], v[2], -1}
	for i := range row {
		for j := range row {
			err2 += row[i] * row[j] * f.sums[i][j]
		}
	}
	return v, max(0, err2), true
}

// gauss solves three equations with pivots.
func gauss(m [3][4]float64) (v [3]float64, ok bool) {
	for i := range 3 {
		p := i
		for r := i + 1; r < 3; r++ {
			if math.Abs(m[r][i]) > math.Abs(m[p][i]) {
				p = r
			}
		}
		if math.Abs(m[p][i]) < 1e-12 {
			return v, false
		}
		m[i], m[p] = m[p], m[i]
		for r := range 3 {
			if r == i {
				continue
			}
			k := m[r][i] / m[i][i]
			for c := i; c < 4; c++ {
				m[r][c] -= k * m[i][c]
			}
		}
	}
	for i := range v {
		v[i] = m[i][3] / m[i][i]
	}
	return v, true
}

// Thermal returns the model, with nothing known while there are few readings, or when they do not show that load heats.
func (t *Thermometer) Thermal() Thermal {
	if t.n < leastReadings {
		return Thermal{}
	}
	best, found := math.Inf(1), Thermal{}
	for i := range t.fits {
		v, err2, ok := t.fits[i].solve()
		if !ok || err2 >= best || v[1] <= 0 {
			continue
		}
		best = err2
		found = Thermal{Ambient: Known(v[0]), Rise: Known(v[1]), Tau: Known(seconds(taus[i])), Error: Known(math.Sqrt(err2 / t.fits[i].sums[0][0]))}
	}
	return found
}

// never is a time that no plan looks ahead to.
const never = time.Duration(math.MaxInt64)

// TimeTo returns after how long a device of this temperature reaches limit under a load [cores]; never for a load that does not take it there.
// It is unknown where the model is.
func (t Thermal) TimeTo(limit, temperature, load float64) Reading[time.Duration] {
	ambient, known := t.Ambient.Get()
	if !known {
		return Reading[time.Duration]{}
	}
	if temperature >= limit {
		return Known(time.Duration(0))
	}
	end := ambient + t.Rise.Or(0)*load
	if end <= limit {
		return Known(never)
	}
	s := t.Tau.Or(0).Seconds() * math.Log((end-temperature)/(end-limit))
	return Known(max(0, seconds(s)))
}
