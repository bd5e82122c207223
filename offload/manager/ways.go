package manager

import (
	"cmp"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/internal/qos"
	"github.com/bungee-xr/bungee/internal/wire"
)

// A way is what a UE has measured of its way to a host. A session has sixteen of them, so a way is small.
type way struct {
	qos.Least
	host *host
	at   time.Duration // when it was last measured, by ledger.since
}

// since returns how long after the first call now is: a time of 8 bytes.
func (l *ledger) since(now time.Time) time.Duration {
	if l.zero.IsZero() {
		l.zero = now
	}
	return now.Sub(l.zero)
}

func (s *session) findWay(host string) (i int, found bool) {
	return slices.BinarySearchFunc(s.ways, host, func(w way, name string) int { return cmp.Compare(w.host.name, name) })
}

// waysTo returns the way to a host, or none.
func (s *session) waysTo(host string) []way {
	i, found := s.findWay(host)
	if !found {
		return nil
	}
	return s.ways[i : i+1]
}

// wayTo returns the way to a host, one of which nothing is known if there is none yet. It counts until the next call. So many are
// expected.
func (s *session) wayTo(h *host, expected int) *way {
	i, found := s.findWay(h.name)
	if found {
		return &s.ways[i]
	}
	switch len(s.ways) {
	case 0:
		s.ways = slices.Grow(s.ways, min(expected, wire.MaxHosts))
	case 2 * wire.MaxHosts:
		s.ways, i = s.ways[:0], 0
	}
	s.ways = slices.Insert(s.ways, i, way{host: h})
	return &s.ways[i]
}
