package bench

import (
	"fmt"
	"strings"

	"github.com/bungee-xr/bungee/lab/internal/siege"
)

// leastKinds is how many kinds of hostile calls there must be.
const leastKinds = 24

// figures are one of each kind, and those of the host and of the honest calls.
func (o *outrage) figures() (all []Figure) {
	o.mu.Lock()
	defer o.mu.Unlock()
	sum, notAllowed := 0, 0
	for i := range o.kinds {
		f := o.kindFigure(&o.kinds[i])
		sum, notAllowed = sum+f.N, notAllowed+int(f.Value)
		all = append(all, f)
	}
	total := func(metric string, n, of int, op string, target float64, note string) {
		f := Figure{Case: "all", Metric: metric, Unit: "answers", Value: float64(n), N: of, Note: note}
		all = append(all, f.against(op, target))
	}
	honest := int(o.honest.Load())
	texts := strings.Join(o.why[""], "; ")
	total("hostile", sum, sum, ">=", float64(o.Calls), "")
	total("kinds", len(o.kinds), len(o.kinds), ">=", leastKinds, o.noteOfNN())
	total("not_allowed", notAllowed, sum, "<=", 0, "")
	total("honest_lost", o.lost, honest, "<=", 0, texts)
	total("honest_crossed", o.crossed, honest, "<=", 0, texts)
	crashed := Figure{Case: "all", Metric: "crashed", Unit: "hosts", N: 1}
	if o.after.Files == 0 && o.before.Files > 0 {
		crashed.Value = 1
	}
	all = append(append(all, crashed.against("<=", 0)), o.growth(o.after)...)
	return append(all, o.underWay())
}

// underWay is the memory of the host while calls were made: whether it goes on growing.
func (o *outrage) underWay() Figure {
	f := Figure{Case: "all", Metric: "rss_under_way", Unit: "MB", N: len(o.tenths), Beside: map[string]float64{}}
	for i, u := range o.tenths {
		f.Value = max(f.Value, u.RSS)
		f.Beside[fmt.Sprintf("tenth_%02d", i+1)] = u.RSS
	}
	return f
}

// noteOfNN says that kinds are missing.
func (o *outrage) noteOfNN() string {
	for _, k := range o.kinds {
		if k.NN {
			return ""
		}
	}
	return "without those of neural networks, which the host does not serve"
}

// kindFigure tells what the host answered to the calls of a kind.
func (o *outrage) kindFigure(k *siege.Kind) Figure {
	f := Figure{Case: k.Name, Metric: "not_allowed", Unit: "answers", Value: float64(o.wrong[k.Name]), Beside: map[string]float64{}}
	for a, n := range o.seen[k.Name] {
		f.Beside[a.String()] = float64(n)
		f.N += n
	}
	f.Note = strings.Join(o.why[k.Name], "; ")
	return f.against("<=", 0)
}

// growth is what the host holds over what it held after the warm-up, as a soak judges it.
func (o *outrage) growth(now usage) (all []Figure) {
	for _, r := range resources {
		begin, end := r.of(o.before), r.of(now)
		if begin == 0 || end == 0 {
			continue // not known
		}
		f := Figure{Case: "all", Metric: r.name + "_growth", Unit: "x", N: 2, Value: end / begin, Beside: map[string]float64{"begin_" + r.unit: begin, "end_" + r.unit: end}}
		f = f.against("<=", mostGrowth)
		f.OK = f.OK || end-begin <= r.slack
		f.Note = fmt.Sprintf("%g %s more are met, too", r.slack, r.unit)
		all = append(all, f)
	}
	return all
}
