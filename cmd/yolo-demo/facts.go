//go:build cgo && opencv

package main

import (
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/page"
	"github.com/bungee-xr/bungee/handler/ue/policy"
)

// facts returns what the policy knows of the device, the link, the host and the function, for the page.
func (l *loop) facts() []page.Fact {
	v := l.handler.View()
	d, link := &v.Device, &v.Link
	facts := []page.Fact{
		{Name: "UE temperature", Text: told(d.Temperature, "%.1f °C") + ", " + l.run.TempSource},
		{Name: "temperature limit", Text: told(d.Limit, "%.0f °C")},
		{Name: "busy cores of all", Text: told(d.Load, "%.2f")},
		{Name: "cores that the UE may use", Text: told(d.Cores, "%.2f")},
		{Name: "battery", Text: battery(d)},
		{Name: "power", Text: told(d.Power, "%.1f W")},
		{Name: "link", Text: link.Kind.String()},
		{Name: "round trip", Text: span(link.RTT)},
		{Name: "link up", Text: bitrate(link.Up)},
		{Name: "link down", Text: bitrate(link.Down)},
		{Name: "edge host", Text: hostOf(v)},
	}
	if i := indexOf(v, detectObjectsFunc.Name); i >= 0 {
		facts = append(facts, estimates(&v.Functions[i])...)
	}
	return facts
}

// estimates returns what is expected of a function's calls.
func estimates(f *policy.Function) []page.Fact {
	at := func(e *policy.Estimate) string {
		return fmt.Sprintf("%s, 95 %% within %s", span(e.Latency), span(e.Tail))
	}
	return []page.Fact{
		{Name: "calls", Text: told(f.Rate, "%.1f a second")},
		{Name: "call on the UE, lately", Text: at(&f.UE)},
		{Name: "call at the edge, lately", Text: at(&f.Edge)},
		{Name: "of that, on the way and computing", Text: span(f.Edge.Network) + " and " + span(f.Edge.Run)},
	}
}

// expected returns what a call is predicted to take on the UE and on the edge host, at the fidelity that it would have there. 0 is not known.
func expected(v *policy.View) (here, there time.Duration) {
	i := indexOf(v, detectObjectsFunc.Name)
	if i < 0 {
		return 0, 0
	}
	var level [2]uint8
	if i < len(v.Standings) {
		level = v.Standings[i].Fidelity
	}
	return v.Predict(i, policy.OnUE, level[policy.OnUE]).Typical, v.Predict(i, policy.OnEdge, level[policy.OnEdge]).Typical
}

// indexOf returns the number of a function in a view, -1 if it is not there.
func indexOf(v *policy.View, name string) int {
	for i := range v.Functions {
		if v.Functions[i].Name == name {
			return i
		}
	}
	return -1
}

func hostOf(v *policy.View) string {
	switch {
	case len(v.Hosts) == 0:
		return "none"
	case !v.Hosts[0].Ready:
		return v.Hosts[0].Name + ", not ready"
	}
	return v.Hosts[0].Name + ", ready"
}

func battery(d *policy.Device) string {
	charge, known := d.Battery.Get()
	switch {
	case !known && d.Charging:
		return "none"
	case !known:
		return unknown
	case d.Charging:
		return fmt.Sprintf("%.0f %%, charging", 100*charge)
	}
	return fmt.Sprintf("%.0f %%", 100*charge)
}

const unknown = "unknown"

func told(r policy.Reading[float64], format string) string {
	if x, known := r.Get(); known {
		return fmt.Sprintf(format, x)
	}
	return unknown
}

func span(r policy.Reading[time.Duration]) string {
	if d, known := r.Get(); known {
		return d.Round(100 * time.Microsecond).String()
	}
	return unknown
}

// bitrate writes bytes a second as bits.
func bitrate(r policy.Reading[float64]) string {
	if x, known := r.Get(); known {
		return fmt.Sprintf("%.1f Mbit/s", 8*x/1e6)
	}
	return unknown
}
