package explain

import (
	"fmt"
	"io"
	"strings"

	"github.com/bungee-xr/bungee/handler/ue/policy"
)

// Sizes of the picture, in pixels. A function has a band of its own.
const (
	width, band, left, top = 1000, 180, 70, 30
	mostPoints             = 4000 // of a function at a place
)

var colours = [2]string{"#c2571a", "#1a6fc2"} // UE, edge

// Draw writes the picture of the story as SVG: what each call took over time, by place; where calls went, as the colour of the
// ground; moves with their reasons as titles; and the deadline.
func (s *Story) Draw(w io.Writer) {
	height := top + band*max(1, len(s.Functions)) + 30
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", width, height)
	fmt.Fprintf(w, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	fmt.Fprintf(w, `<text x="%d" y="18">%s: calls <tspan fill="%s">on the UE</tspan> and <tspan fill="%s">on an edge host</tspan></text>`+"\n",
		left, escape(or(s.Head.Policy, "a policy")), colours[0], colours[1])
	for i, c := range s.Functions {
		s.band(w, c, top+i*band)
	}
	fmt.Fprintf(w, `<text x="%d" y="%d">0 s</text><text x="%d" y="%d" text-anchor="end">%s</text>`+"\n</svg>\n", left, height-10, width-10, height-10, long(s.Ends))
}

// band draws a function below y.
func (s *Story) band(w io.Writer, c *Chapter, y int) {
	const high = band - 40
	x := func(p Point) float64 { return left + (width-10-left)*p.At.Seconds()/max(s.Ends.Seconds(), 1e-9) }
	most := max(1.2*c.Quantile(policy.OnUE, 0.99), 1.2*c.Quantile(policy.OnEdge, 0.99), 1.2*c.Latency.Seconds(), 1e-6)
	at := func(seconds float64) float64 { return float64(y+20+high) - high*min(1, seconds/most) }
	fmt.Fprintf(w, `<text x="%d" y="%d">%s</text>`+"\n", left, y+14, escape(c.Name))
	for i, m := range c.Moves[:min(len(c.Moves), mostPoints)] {
		from, to := x(Point{At: m.At}), float64(width-10)
		if i+1 < len(c.Moves) {
			to = x(Point{At: c.Moves[i+1].At})
		}
		fmt.Fprintf(w, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s" opacity="0.1"><title>%s: %s, because %s</title></rect>`+"\n",
			from, y+20, max(0, to-from), high, colours[m.Where], long(m.At), m.Where, escape(m.Why.String()))
	}
	for p := policy.OnUE; p <= policy.OnEdge; p++ {
		every := 1 + len(c.Took[p])/mostPoints
		for i := 0; i < len(c.Took[p]); i += every {
			fmt.Fprintf(w, `<circle cx="%.1f" cy="%.1f" r="1.5" fill="%s"/>`+"\n", x(c.Took[p][i]), at(c.Took[p][i].Value), colours[p])
		}
	}
	if c.Latency > 0 {
		fmt.Fprintf(w, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#888" stroke-dasharray="4"/>`+"\n", left, width-10, at(c.Latency.Seconds()), at(c.Latency.Seconds()))
		fmt.Fprintf(w, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left-4, at(c.Latency.Seconds())+4, short(c.Latency.Seconds()))
	}
	fmt.Fprintf(w, `<text x="%d" y="%d" text-anchor="end">%s</text><text x="%d" y="%d" text-anchor="end">0</text>`+"\n", left-4, y+28, short(most), left-4, y+20+high)
}

// escape returns text as XML has it.
func escape(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0xfffe || r == 0xffff { // XML has none of these
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return escapes.Replace(s)
}

var escapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")
