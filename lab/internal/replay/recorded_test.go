package replay

import (
	"slices"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/handler/ue/policy"
)

// The traces that were measured say on what, name no path of the machine, and both places took what calls take.
func TestRecorded(t *testing.T) {
	all, err := Recorded()
	if err != nil {
		t.Fatal(err)
	}
	var radios []string
	for _, tr := range all {
		radios = append(radios, tr.Radio)
		if !strings.HasPrefix(tr.Origin, "recorded: ") || !strings.Contains(tr.Origin, "two processes") || strings.Contains(tr.Origin, "/tmp") {
			t.Errorf("%s: its origin is %q", tr.Trace, tr.Origin)
		}
		if len(tr.Calls) < 200 || tr.seconds() < 50 {
			t.Errorf("%s: %d calls in %.0f s", tr.Trace, len(tr.Calls), tr.seconds())
		}
		here, there, got := Always(tr, false), Always(tr, true), Run(tr, policy.Adaptive{})
		t.Logf("%s: late %.2f %%, on the UE %.2f %%, on the edge %.2f %%; %d moves a minute", tr.Trace, 100*got.MissRate(), 100*here.MissRate(), 100*there.MissRate(), got.Crowded)
		if got.MissRate() > min(here.MissRate(), there.MissRate())+0.01 || got.Crowded > 6 {
			t.Errorf("%s: %.2f %% late and %d moves a minute; %.2f and %.2f %% at one place", tr.Trace, 100*got.MissRate(), got.Crowded, 100*here.MissRate(), 100*there.MissRate())
		}
	}
	for _, want := range []string{"wifi", "cellular"} {
		if !slices.Contains(radios, want) {
			t.Errorf("no trace over %s", want)
		}
	}
}
