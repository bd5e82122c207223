package host

import (
	"slices"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
)

func TestLoads(t *testing.T) {
	const ms = time.Millisecond
	var l loads
	now := time.Unix(1e9, 0)
	m := digest{1}
	// 100 calls took 1 to 100 ms in a turn, after a wait of 10 ms, one each 100 ms.
	for i := range 100 {
		now = now.Add(100 * ms)
		s := time.Duration(i+1) * ms
		l.observe(m, now.Add(-s-10*ms), now.Add(-s), now)
	}
	l.observe(m, now, time.Time{}, now.Add(time.Hour)) // one that gave up
	states := map[digest]wire.ModuleState{{1}: wire.ModuleCompiled, {2}: wire.ModulePresent}
	got := l.beats(now, states, 8)
	want := []wire.ModuleBeat{
		{Module: m, State: wire.ModuleCompiled, Calls: 100, R: 6050 * ms, S: 5050 * ms, S10: 10 * ms, R50: 60 * ms, R99: 109 * ms},
		{Module: digest{2}, State: wire.ModulePresent},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := l.samples(m, 3); !slices.Equal(got, []time.Duration{98 * ms, 99 * ms, 100 * ms}) {
		t.Errorf("the last three took %v", got)
	}
	if got := l.samples(digest{9}, 3); got != nil {
		t.Errorf("a module without calls took %v", got)
	}
	// What was long ago counts in the sums only.
	later := l.beats(now.Add(31*time.Second), nil, 8)
	if b := later[0]; b.R99 != 0 || b.S10 == 0 || b.Calls != 100 || b.State != 0 {
		t.Errorf("after 31 s: %+v", b)
	}
	if b := l.beats(now.Add(2*time.Minute), nil, 8)[0]; b.S10 != 0 || b.S != 5050*ms {
		t.Errorf("after two minutes: %+v", b)
	}
}

// A module that is called all the time, and many modules, take no more memory than they may.
func TestLoadsAreBounded(t *testing.T) {
	var l loads
	now := time.Unix(1e9, 0)
	for i := range 3 * maxObserved {
		l.observe(digest{1}, now, now, now.Add(time.Duration(i)))
	}
	if n := len(l.all[digest{1}].last); n != maxObserved {
		t.Errorf("%d calls are kept, want %d", n, maxObserved)
	}
	if got := l.samples(digest{1}, 2); !slices.Equal(got, []time.Duration{3*maxObserved - 2, 3*maxObserved - 1}) {
		t.Errorf("the last two took %v", got)
	}
	for i := range byte(100) {
		l.observe(digest{2, i}, now, now, now)
	}
	l.beats(now, map[digest]wire.ModuleState{{1}: wire.ModuleCompiled}, 8)
	if len(l.all) > 8 || l.all[digest{1}] == nil {
		t.Errorf("%d modules are remembered, of 8", len(l.all))
	}
}
