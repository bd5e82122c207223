package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/notifier"
)

// device says what the notifier knows of this UE, and from where. That something is unknown is not wrong.
func (d *doctor) device(ctx context.Context) {
	n, err := notifier.New(&notifier.Config{Interval: 100 * time.Millisecond})
	if err != nil {
		d.bad("device", "this is a mistake in bungee", "%v", err)
		return
	}
	defer n.Close()
	var s *notifier.Sample
	for s = range n.Watch(ctx) {
		if !s.Gap { // the first one has no averages
			break
		}
	}
	if s == nil {
		return // the user has given up
	}
	known, unknown := 0, map[string][]string{}
	var lines, reasons []string
	for m, r := range s.All() {
		switch {
		case ofPath(m):
		case r.Known():
			known++
			lines = append(lines, fmt.Sprintf("%-18s %-14s %s", m, m.Format(r.Value), r.Source))
		default:
			if unknown[r.Why] == nil {
				reasons = append(reasons, r.Why)
			}
			unknown[r.Why] = append(unknown[r.Why], m.String())
		}
	}
	for _, why := range reasons {
		lines = append(lines, fmt.Sprintf("unknown: %s (%s)", strings.Join(unknown[why], ", "), why))
	}
	d.ok("device", "tells %d metrics", known)
	for _, line := range lines {
		fmt.Fprintln(d.out, "       "+line)
	}
}

// ofPath says whether a metric is of the path to an edge host, which a UE handler hands in.
func ofPath(m notifier.Metric) bool {
	return slices.Contains([]notifier.Metric{notifier.RTT, notifier.Jitter, notifier.Loss, notifier.RateUp, notifier.RateDown}, m)
}
