package check

import (
	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/far"
)

// A sabotage is a fault that the tests of the checker itself build in: it must be
// found. Nil, and the zero value, are none.
type sabotage struct {
	// wrap stands before each far endpoint on an edge host.
	wrap func(far.Endpoint) far.Endpoint
	// result stands between Recv and the oracle, got.
	result func(r elastic.Result[out], got func(elastic.Result[out]))
}

func (s *sabotage) guest(f far.Endpoint) far.Endpoint {
	if s == nil || s.wrap == nil {
		return f
	}
	return s.wrap(f)
}

func (s *sabotage) give(r elastic.Result[out], got func(elastic.Result[out])) {
	if s == nil || s.result == nil {
		got(r)
		return
	}
	s.result(r, got)
}
