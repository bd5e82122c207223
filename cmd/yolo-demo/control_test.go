//go:build cgo && opencv

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/browse"
	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/page"
	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/offload/manager"
)

// Somebody kills, drains and fills hosts from the page's own table, while the run goes on: each frame has its boxes, and the page shows what
// became of it.
func TestHostsAreKilledDrainedAndFilledFromThePage(t *testing.T) {
	before := killedFor
	killedFor = 6 * time.Second // the manager knows after three beats
	defer func() { killedFor = before }()
	d := open(t, "-http", "127.0.0.1:0", "-frames", "100000", "-toggle", "5", "-fps", "20")
	ctx, cancel := context.WithCancel(t.Context())
	l := d.newLoop()
	ended := make(chan error, 1)
	go func() { ended <- l.frames(ctx, func(*report.Frame) {}) }()
	defer func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the run ended with %v", err)
		}
		l.count(l.device.Sample())
		found := 0
		for _, f := range l.run.Frames {
			found += len(f.Boxes)
		}
		if l.run.Lost != 0 || l.run.Duplicated != 0 || found == 0 {
			t.Errorf("lost %d, duplicated %d, %d objects found; want 0, 0, some", l.run.Lost, l.run.Duplicated, found)
		}
	}()

	b := browse.Open(t, d.page.URL(), 1366, 900, browse.Dark)
	row := func(host string) string { return fmt.Sprintf(`document.querySelector('tr[data-host="%s"]')`, host) }
	press := func(host string, a page.Action) {
		t.Helper()
		button := fmt.Sprintf(`%s.querySelector('button[data-action="%s"]')`, row(host), a)
		browse.Until(t, b, "the button", button+" && !"+button+".disabled")
		browse.Eval[bool](t, b, "("+button+".click(), true)")
	}
	computes := func(host string) {
		t.Helper()
		browse.Until(t, b, "frames on "+host, fmt.Sprintf(`state.frames.at(-1)?.edge && state.frames.at(-1).host === "%s"`, host))
	}
	listed := func(kind, what string) string {
		return fmt.Sprintf(`state.events.some((e) => e.kind === "%s" && (%s))`, kind, what)
	}
	browse.Until(t, b, "both hosts", `document.querySelectorAll('#hosts tr[data-state="ready"]').length === 2`)
	browse.Until(t, b, "a probe", listed("probe", "true"))
	browse.Until(t, b, "a host for the UE", `document.querySelector('#hosts tr[data-role="in use"]') !== null`)
	first := browse.Eval[string](t, b, `document.querySelector('#hosts tr[data-role="in use"]').dataset.host`)
	other := map[string]string{"edge-1": "edge-2", "edge-2": "edge-1"}[first]
	computes(first)

	press(first, page.Kill)
	browse.Until(t, b, "it to be dead", row(first)+`.dataset.state === "dead"`)
	computes(other)
	browse.Until(t, b, "the manager to know", listed("host", fmt.Sprintf(`e.host === "%s" && e.text === "is silent"`, first)))
	browse.Shoot(t, b, "run-killed.png")
	browse.Until(t, b, "it to be back", row(first)+`.dataset.state === "ready"`)

	press(other, page.Drain)
	browse.Until(t, b, "it to drain", row(other)+`.dataset.state === "draining"`)
	computes(first)
	browse.Until(t, b, "the move", listed("move", fmt.Sprintf(`e.host === "%s" && !e.others`, first))+" || "+listed("placed", fmt.Sprintf(`e.host === "%s" && !e.others`, first)))
	press(other, page.Serve)
	browse.Until(t, b, "it to serve again", row(other)+`.dataset.state === "ready"`)

	press(other, page.Fill)
	browse.Until(t, b, "sessions of others", `Number(`+row(other)+`.querySelector(".sessions").textContent) > 0`)
	browse.Until(t, b, "a refusal", listed("refusal", "e.others"))
	computes(first)
	browse.Shoot(t, b, "run-filled.png")
	press(other, page.Empty)
	browse.Until(t, b, "the others to leave", row(other)+`.querySelector(".sessions").textContent === "0"`)
}

// What a manager of somebody else tells the UE becomes probes, moves and refusals.
func TestToldSince(t *testing.T) {
	none := ue.Placement{Session: 1}
	near := ue.Placement{Session: 1, Measured: 1, Near: []ue.Distance{{Host: "a", RTT: 1500 * time.Microsecond}}}
	onA := near
	onA.Number, onA.Primary, onA.Why = 1, "a", "it asked"
	onB := onA
	onB.Number, onB.Primary, onB.Why = 2, "b", "a is draining"
	local := onB
	local.Number, local.Primary, local.Why = 3, "", "all are full"
	for _, tt := range []struct {
		name        string
		before, now ue.Placement
		want        []page.Event
	}{
		{"nothing", none, none, nil},
		{"measured", none, near, []page.Event{{Kind: "probe", Host: "a", Text: "is 1.5 ms away"}}},
		{"placed", near, onA, []page.Event{{Kind: "placed", Host: "a", Text: "it asked"}}},
		{"moved", onA, onB, []page.Event{{Kind: "move", Host: "b", From: "a", Text: "a is draining"}}},
		{"refused", onB, local, []page.Event{{Kind: "refusal", Text: "all are full"}}},
	} {
		if diff := cmp.Diff(tt.want, toldSince(tt.before, tt.now)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	if all := hostsOfUE(&onB); len(all) != 2 || all[0].Name != "a" || all[0].RTT != 1.5 || all[1].State != "leased" || all[1].RTT.Known() {
		t.Errorf("the UE's hosts are %+v; want a, 1.5 ms away, and b leased", all)
	}
}

// Which host is in use is told by the lease that the board shows, not by what the UE was told last.
func TestRolesAreThoseOfTheLease(t *testing.T) {
	told := ue.Placement{Session: 7, Primary: "a", Standby: "b"}
	hosts := []manager.Host{{Name: "a", State: "silent"}, {Name: "b", State: "ready"}, {Name: "c", State: "ready"}}
	for _, tt := range []struct {
		name     string
		sessions []manager.Session
		want     []string
	}{
		{"the manager has moved it to the standby", []manager.Session{{Number: 7, State: "running", Primary: "b", Standby: "c"}}, []string{"", "in use", "standby"}},
		{"the manager does not know it", []manager.Session{{Number: 8, Primary: "c"}}, []string{"in use", "standby", ""}},
		{"it has no host", []manager.Session{{Number: 7, State: "local"}}, []string{"", "", ""}},
	} {
		b := page.Board{Lease: page.Lease{Host: told.Primary, Standby: told.Standby}}
		addManager(&b, &manager.State{Hosts: hosts, Sessions: tt.sessions}, &told)
		addRoles(&b)
		var got []string
		for _, h := range b.Hosts {
			got = append(got, h.Role)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: roles %q; want %q", tt.name, got, tt.want)
		}
	}
}

// A frame's number stands for the time from its begin to that of the next.
func TestFrameAt(t *testing.T) {
	c, begin := &control{}, time.Now()
	if n := c.frameAt(begin); n != 0 {
		t.Errorf("before any frame it is frame %d", n)
	}
	for n := range 3 {
		c.begins(begin.Add(time.Duration(n) * time.Second))
	}
	var got []int
	for _, s := range []float64{-1, 0, 0.5, 1, 2.5} {
		got = append(got, c.frameAt(begin.Add(time.Duration(s*float64(time.Second)))))
	}
	if want := []int{0, 0, 0, 1, 2}; !slices.Equal(got, want) {
		t.Errorf("frames are %v; want %v", got, want)
	}
}

// A crowd that makes no calls is a mistake of who starts it.
func TestCrowdFlags(t *testing.T) {
	for _, args := range [][]string{{"--rate", "0"}, {"--rate", "NaN"}, {"--rate", "1", "--in-flight", "0"}, {"--nonsense"}} {
		if err := crowd(t.Context(), args); !errors.Is(err, errUsage) {
			t.Errorf("%s: %v; want a usage error", strings.Join(args, " "), err)
		}
	}
}
