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
	// event stands between Events and the judge, of.
	event func(e elastic.Event, of func(elastic.Event))
	// stats changes what a channel has counted at its end.
	stats func(*elastic.Stats)
	// where changes where a far endpoint is.
	where func(Host) Host
	// move stands behind Move, send before Send and close before Close.
	move func(error) error
	send func()
	// standBy stands between a Place and StandBy.
	standBy func(all []elastic.Target, do func(...elastic.Target) error) error
	close   func()
	// trusting has the UE trust a foreign host, and deaf a host that drains tell nobody.
	trusting, deaf bool
}

// none is what a run without sabotage has.
var none = &sabotage{
	wrap:    func(f far.Endpoint) far.Endpoint { return f },
	result:  func(r elastic.Result[out], got func(elastic.Result[out])) { got(r) },
	event:   func(e elastic.Event, of func(elastic.Event)) { of(e) },
	stats:   func(*elastic.Stats) {},
	where:   func(h Host) Host { return h },
	move:    func(err error) error { return err },
	send:    func() {},
	standBy: func(all []elastic.Target, do func(...elastic.Target) error) error { return do(all...) },
	close:   func() {},
}

// whole returns s with what it lacks taken from none.
func (s *sabotage) whole() *sabotage {
	if s == nil {
		return none
	}
	w := *s
	fill(&w.wrap, none.wrap, w.wrap == nil)
	fill(&w.result, none.result, w.result == nil)
	fill(&w.event, none.event, w.event == nil)
	fill(&w.stats, none.stats, w.stats == nil)
	fill(&w.where, none.where, w.where == nil)
	fill(&w.move, none.move, w.move == nil)
	fill(&w.standBy, none.standBy, w.standBy == nil)
	fill(&w.send, none.send, w.send == nil)
	fill(&w.close, none.close, w.close == nil)
	return &w
}

func fill[T any](at *T, value T, empty bool) {
	if empty {
		*at = value
	}
}
