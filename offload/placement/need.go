package placement

import (
	"cmp"
	"math"
	"slices"
	"time"
)

func (n *Need) inFlight() float64 { return float64(max(1, n.InFlight)) }

// memory returns the bytes of all its instances.
func (n *Need) memory() int64 {
	instances := int64(max(1, cmp.Or(n.Instances, n.InFlight)))
	if n.Memory > math.MaxInt64/instances {
		return math.MaxInt64
	}
	return max(0, n.Memory) * instances
}

// link returns what is known of the way to a host, or nil.
func (x *Session) link(host string) *Link {
	if i := slices.IndexFunc(x.Links, func(l Link) bool { return l.Host == host }); i >= 0 {
		return &x.Links[i]
	}
	return nil
}

// way returns what of a call's time is on the network.
func (n *Need) way(l *Link) time.Duration {
	if l == nil {
		return 0
	}
	d := max(0, l.RTT)
	if rate := sane(l.Rate); rate > 0 {
		d = later(d, seconds(float64(max(0, n.Up)+max(0, n.Down))/rate))
	}
	return d
}

// seconds returns s seconds, or the longest Duration.
func seconds(s float64) time.Duration {
	if s >= math.MaxInt64/1e9 {
		return math.MaxInt64
	}
	return time.Duration(sane(s) * 1e9)
}

// later returns the sum of durations that are not negative, or the longest Duration.
func later(a, b time.Duration) time.Duration {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

func add(a, b int64) int64 { return int64(later(time.Duration(a), time.Duration(b))) }

// sane returns x, or 0 in place of what is negative or no number.
func sane(x float64) float64 {
	if math.IsNaN(x) || x < 0 {
		return 0
	}
	return min(x, 1e12)
}
