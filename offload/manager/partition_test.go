package manager_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
)

// A partition is two parts between which nothing passes, in one direction or in both.
type partition struct {
	name string
	a, b func(w *whole) net.IP
	most int // calls that may run on the UE meanwhile, of 50 a second
	why  string
}

// The parts of a whole whose session is at edge-1, with edge-2 as its standby.
var (
	theUE      = func(*whole) net.IP { return net.IPv4(10, 0, 1, 1) }
	theManager = func(*whole) net.IP { return managerAddr.IP }
	thePrimary = func(w *whole) net.IP { return w.hostIP(w.primary) }
	theStandby = func(w *whole) net.IP { return w.hostIP(w.standby) }
)

func (w *whole) hostIP(name string) net.IP {
	return net.IPv4(10, 0, 0, map[string]byte{"edge-1": 2, "edge-2": 3, "edge-3": 4}[name])
}

// Nothing passes between two parts for half a minute. Each call is answered, as it should be; the UE uses no more than two hosts for longer than a
// hand-over takes; and when all is well again the session runs on a host, with a standby.
func TestPartitions(t *testing.T) {
	partitions := []partition{
		{"UE and manager", theUE, theManager, 0, "the session goes on"},
		{"UE and primary", theUE, thePrimary, 2, "calls under way miss their deadline, the next ones run on the standby"},
		{"UE and standby", theUE, theStandby, 0, "nothing runs there"},
		{"primary and manager", thePrimary, theManager, 1, "the session moves to the standby"},
		{"standby and manager", theStandby, theManager, 0, "another host becomes the standby"},
	}
	for _, p := range partitions {
		for _, ways := range []string{"there", "back", "both ways"} {
			t.Run(p.name+", "+ways, func(t *testing.T) {
				inWhole(t, func(t *testing.T, w *whole) { w.parted(p, ways) })
			})
		}
	}
}

func (w *whole) parted(p partition, ways string) {
	hosts := []*edge{w.host("edge-1", 2), w.host("edge-2", 3), w.host("edge-3", 4)}
	defer func() {
		for _, h := range hosts {
			h.end()
		}
	}()
	time.Sleep(time.Second)
	h := w.ue("headset", 1)
	defer h.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	w.must(h.Prepare(ctx, &doubler.Desc))
	w.calls(3 * time.Second)
	s := w.only()
	w.primary, w.standby = s.Primary, s.Standby
	if s.State != "running" || s.Standby == "" {
		w.t.Fatalf("the session is %+v", s)
	}
	uses := w.watch(h)
	a, b := p.a(w), p.b(w)
	part := func(on bool) {
		if ways != "back" {
			w.air.Part(a, b, on)
		}
		if ways != "there" {
			w.air.Part(b, a, on)
		}
	}
	part(true)
	if _, local := w.calls(30 * time.Second); local > p.most {
		w.t.Errorf("%d calls ran on the UE, want %d at most: %s", local, p.most, p.why)
	}
	part(false)
	w.calls(90 * time.Second) // what was lost by then ends within a minute
	if _, local := w.calls(5 * time.Second); local > 0 {
		w.t.Errorf("all is well again, and %d calls ran on the UE", local)
	}
	if s := w.only(); s.State != "running" || s.Standby == "" || !s.Connected {
		w.t.Errorf("all is well again, and the session is %+v", s)
	}
	uses()
}

// handover is how long a UE may use three hosts: until it is at the next one, an order and the grace.
const handover = 25 * time.Second

// watch watches which hosts a UE is connected with, until the function that it returns is called.
func (w *whole) watch(h *ue.Handler) (end func()) {
	quit := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		var since time.Time
		for tick := time.NewTicker(100 * time.Millisecond); ; {
			select {
			case <-tick.C:
			case <-quit:
				tick.Stop()
				return
			}
			var hosts []string
			for _, l := range h.Stats().Links {
				hosts = append(hosts, l.Host)
			}
			slices.Sort(hosts)
			switch hosts = slices.Compact(hosts); {
			case len(hosts) <= 2:
				since = time.Time{}
			case since.IsZero():
				since = time.Now()
			case time.Since(since) > handover:
				w.t.Error(fmt.Errorf("the UE is at %v for %v", hosts, time.Since(since)))
				since = time.Now()
			}
		}
	})
	return func() {
		close(quit)
		watching.Wait()
	}
}
