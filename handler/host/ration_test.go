package host

import (
	"testing"
	"time"
)

// However long probes take, and as often as they are ordered, they have their part of a core, and one that gave way is followed by a rest.
func TestRation(t *testing.T) {
	const long = 10 * time.Minute
	for _, took := range []time.Duration{200 * time.Microsecond, 20 * time.Millisecond, probeTime} {
		for _, gaveWay := range []bool{false, true} {
			var r ration
			begin := time.Now()
			now, spent, probes := begin, time.Duration(0), 0
			for now.Sub(begin) < long {
				now = now.Add(r.wait(now))
				if w := r.wait(now); w != 0 {
					t.Fatalf("after its wait it has to wait for %v more", w)
				}
				now = now.Add(took)
				r.spend(now, took, gaveWay)
				spent, probes = spent+took, probes+1
			}
			most := now.Sub(begin)/probePart + 2*probeTime
			if gaveWay {
				most = min(most, took*time.Duration(1+long/probeRest))
			}
			if spent > most {
				t.Errorf("probes of %v, which give way: %v: %d of them had %v in %v, want %v at most", took, gaveWay, probes, spent, now.Sub(begin), most)
			}
			if spent < long/probePart-2*probeTime && !gaveWay {
				t.Errorf("probes of %v: %d of them had %v in %v, and nobody else wanted more", took, probes, spent, long)
			}
		}
	}
}
