package ue_test

import (
	"context"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/internal/authority"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload/cluster"
)

// A followed is a channel that follows an offload manager with three hosts.
type followed struct {
	*plant
	ch    *elastic.Channel[int64, int64]
	flow  *flow
	hosts map[string]*edgeHost
}

// inFollowed runs f when the channel is at a host, and ends all.
func inFollowed(t *testing.T, f func(t *testing.T, f *followed)) {
	inWorld(t, func(t *testing.T, w *world) {
		p := &plant{world: w, dir: t.TempDir()}
		var err error
		if p.ca, _, err = authority.Init(filepath.Join(p.dir, "ca"), "bungee", 365*24*time.Hour); err != nil {
			t.Fatal(err)
		}
		defer p.ca.Close()
		p.certs = p.issue(identity.Manager, "", "m1")
		p.begin()
		defer p.end()
		fd := &followed{plant: p, hosts: map[string]*edgeHost{}, ch: w.openTally(elastic.Config{})}
		for _, name := range []string{"edge-1", "edge-2", "edge-3"} {
			fd.start(name)
		}
		defer func() {
			for _, h := range fd.hosts {
				h.stop()
			}
		}()
		time.Sleep(4 * time.Second)
		conf, err := identity.Load(p.issue(identity.UE, "acme", "headset"), identity.UE)
		if err != nil {
			t.Fatal(err)
		}
		h := w.startUEWith(ue.Config{Managers: ue.Addresses{managerAddr.String()}, TLS: conf, Need: ue.Need{Rate: 100, Memory: 1 << 20}})
		defer h.Close()
		fd.flow = flows(t, fd.ch)
		ctx, cancel := context.WithCancel(context.Background())
		var following sync.WaitGroup
		following.Go(func() { h.Follow(ctx, &tally().Desc, fd.ch) })
		time.Sleep(3 * time.Second)
		f(t, fd)
		cancel()
		following.Wait()
		fd.flow.stop()
	})
}

func (f *followed) start(name string) {
	at := map[string]*net.UDPAddr{"edge-1": hostAddr, "edge-2": hostAddrB, "edge-3": hostAddrC}
	f.hosts[name] = f.host(name, at[name])
}

// A channel's host is drained, or killed, again and again: the channel is at the next one at once, with no Move that fails, and never on its UE.
func TestFollowWhenHostsGo(t *testing.T) {
	inFollowed(t, func(t *testing.T, f *followed) {
		watched, stop := context.WithCancel(t.Context())
		events := f.ch.Events(watched)
		var watching sync.WaitGroup
		watching.Go(func() {
			for e := range events {
				if e.Kind == elastic.MoveFailed || e.To == "" && e.Kind != elastic.StandbyLost && e.Kind != elastic.Ended {
					t.Errorf("%v from %q to %q: %v", e.Kind, e.From, e.To, e.Reason)
				}
			}
		})
		for i := range 6 {
			on, drains := f.ch.Where(), i%2 == 0
			f.flow.most.Store(0)
			if drains {
				f.m.Set(t.Context(), cluster.Member{Name: on, Want: cluster.Drain})
				time.Sleep(2 * time.Second)
			}
			f.hosts[on].stop()
			time.Sleep(time.Second)
			at := f.ch.Where()
			if at == on || at == "" {
				t.Errorf("%d: %s is gone, and the channel is at %q", i, on, at)
			}
			if longest := f.flow.longest(); longest > 2*period+2*oneWay {
				t.Errorf("%d: %v without a result when %s went", i, longest, on)
			}
			f.start(on)
			f.m.Set(t.Context(), cluster.Member{Name: on, Want: cluster.Serve})
			f.awaitStandby(20 * time.Second)
		}
		if s := f.ch.Stats(); s.Fallbacks != 3 {
			t.Errorf("%d fallbacks, want one a kill: %+v", s.Fallbacks, s)
		}
		stop()
		watching.Wait()
	})
}

// awaitStandby waits until the session has a standby that its UE is at.
func (f *followed) awaitStandby(patience time.Duration) {
	f.t.Helper()
	begin := time.Now()
	for ; time.Since(begin) < patience; time.Sleep(100 * time.Millisecond) {
		if s, err := f.m.State(); err == nil && len(s.Sessions) == 1 && s.Sessions[0].State == "running" && s.Sessions[0].Standby != "" {
			time.Sleep(2 * time.Second) // the channel attaches there
			return
		}
	}
	s, _ := f.m.State()
	f.t.Errorf("no standby after %v: %+v, hosts %+v", patience, s.Sessions, s.Hosts)
}

// What messages of a channel take counts as what calls take: the manager hears how many there were, how long they took, and how many were
// in vain.
func TestManagerHearsHowMessagesAre(t *testing.T) {
	for _, mode := range []elastic.Mode{elastic.Ordered, elastic.Latest} {
		t.Run(mode.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				ch := w.openTally(elastic.Config{Mode: mode})
				a, b := w.start("edge-1", hostAddr, nil), w.start("edge-2", hostAddrB, nil)
				defer b.stop()
				defer a.stop()
				m := w.startManager(usual(0))
				defer m.stop()
				h := w.startManaged(ue.Need{})
				defer h.Close()
				ctx, cancel := context.WithCancel(t.Context())
				var going sync.WaitGroup
				defer going.Wait()
				defer cancel()
				going.Go(func() { h.Follow(ctx, &tally().Desc, ch) })
				going.Go(func() {
					for ctx.Err() == nil && ch.Send(ctx, 1) == nil { // in mode Latest Send does not wait, and so does not look
						time.Sleep(period)
					}
				})
				going.Go(func() {
					for {
						if _, err := ch.Recv(ctx); err != nil {
							return
						}
					}
				})
				time.Sleep(5 * time.Second)
				calls := last[wire.Feel](m).Calls
				if len(calls) != 1 {
					t.Fatalf("the manager hears of %+v", calls)
				}
				if c := calls[0]; c.Host != "edge-1" || c.N < 70 || c.N > 110 || c.Missed > 0 || c.P50 < 2*oneWay*9/10 || c.P99 > 4*oneWay {
					t.Errorf("%+v; want some 90 messages of %v", c, 2*oneWay)
				}
				w.air.Mute(hostAddr.IP, true)
				time.Sleep(1500 * time.Millisecond)
				w.air.Mute(hostAddr.IP, false)
				var missed, next uint64
				for _, f := range all[wire.Feel](m) {
					for _, c := range f.Calls {
						if c.Host == "edge-1" {
							missed += c.Missed
						} else {
							next += c.N
						}
					}
				}
				if missed == 0 || next == 0 {
					t.Errorf("edge-1 was silent: %d messages are told as in vain, and %d at edge-2", missed, next)
				}
			})
		})
	}
}
