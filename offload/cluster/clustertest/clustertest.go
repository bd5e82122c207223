// Package clustertest checks that a [cluster.Backend] keeps the contract.
package clustertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/offload/cluster"
	"github.com/bungee-xr/bungee/offload/placement"
)

// Run checks a backend. New returns a fresh one to which these hosts belong, each of which serves. It is called several
// times.
func Run(t *testing.T, new func(t *testing.T, hosts ...string) cluster.Backend) {
	t.Run("members", func(t *testing.T) { testMembers(t, new(t, "edge-2", "edge-1")) })
	t.Run("empty", func(t *testing.T) { testEmpty(t, new(t)) })
	t.Run("wants", func(t *testing.T) { testWants(t, new(t, "edge-1", "edge-2")) })
	t.Run("registry", func(t *testing.T) { testRegistry(t, new(t, "edge-1", "edge-2")) })
	t.Run("many", func(t *testing.T) { testMany(t, new(t, "edge-1", "edge-2")) })
}

func names(b cluster.Backend) (all []string) {
	for _, m := range b.Members() {
		all = append(all, m.Name)
	}
	return all
}

// Members belong to the cluster and may join, again, too. The slice is the caller's.
func testMembers(t *testing.T, b cluster.Backend) {
	if got := names(b); !slices.Equal(got, []string{"edge-1", "edge-2"}) {
		t.Errorf("members are %q; want edge-1 and edge-2, sorted", got)
	}
	for range 2 {
		if err := b.Join("edge-1"); err != nil {
			t.Errorf("a member may not join: %v", err)
		}
	}
	b.Members()[0].Name = "changed"
	if got := names(b); !slices.Equal(got, []string{"edge-1", "edge-2"}) {
		t.Errorf("members are %q after a caller has changed its own slice", got)
	}
	if err := b.Join("stranger"); err != nil && !errors.Is(err, cluster.ErrNoMember) {
		t.Errorf("a stranger gets %v; want nil or ErrNoMember", err)
	} else if is := slices.Contains(names(b), "stranger"); is != (err == nil) {
		t.Errorf("a stranger that joined with %v is a member: %v", err, is)
	}
}

func testEmpty(t *testing.T, b cluster.Backend) {
	if got := b.Members(); len(got) != 0 {
		t.Errorf("members are %v; want none", got)
	}
	if err := b.Set(context.Background(), cluster.Member{Name: "edge-1", Want: cluster.Drain}); !errors.Is(err, cluster.ErrNoMember) {
		t.Errorf("a host that is no member is set with %v; want ErrNoMember", err)
	}
}

// What the operator wants is there when Set returns, of that host only, and can be taken back.
func testWants(t *testing.T, b cluster.Backend) {
	by := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for _, m := range []cluster.Member{{Name: "edge-1", Want: cluster.Cordon}, {Name: "edge-1", Want: cluster.Drain, By: by}, {Name: "edge-1"}} {
		if err := b.Set(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		got := b.Members()
		if len(got) != 2 || got[0].Name != m.Name || got[0].Want != m.Want || !got[0].By.Equal(m.By) || got[1].Want != cluster.Serve {
			t.Errorf("after %+v members are %+v", m, got)
		}
	}
}

// A registry over the backend has each host in the state that follows from both.
func testRegistry(t *testing.T, b cluster.Backend) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	r := cluster.New(b, time.Second)
	state := func() string {
		r.Tick(now)
		one, _ := r.Host("edge-1")
		two, _ := r.Host("edge-2")
		return one.State.String() + " " + two.State.String()
	}
	step := func(what, want string) {
		t.Helper()
		if got := state(); got != want {
			t.Errorf("%s: edge-1 and edge-2 are %s; want %s", what, got, want)
		}
	}
	want := func(m cluster.Member) {
		t.Helper()
		if err := b.Set(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	step("at first", "silent silent")
	if got := r.Missing(); !slices.Equal(got, []string{"edge-1", "edge-2"}) {
		t.Errorf("missing are %q", got)
	}
	if err := r.Register(now, "edge-1"); err != nil {
		t.Fatal(err)
	}
	step("edge-1 has registered", "ready silent")
	if got := r.Missing(); !slices.Equal(got, []string{"edge-2"}) {
		t.Errorf("missing are %q; want edge-2", got)
	}
	now = now.Add(cluster.Missed * time.Second)
	step("after three beats' time", "ready silent")
	now = now.Add(time.Millisecond)
	step("a little later", "silent silent")
	r.Beat(now, "edge-1")
	step("after a beat", "ready silent")
	want(cluster.Member{Name: "edge-1", Want: cluster.Cordon})
	step("cordoned", "cordoned silent")
	want(cluster.Member{Name: "edge-1", Want: cluster.Drain, By: now.Add(time.Minute)})
	step("draining", "draining silent")
	if h, _ := r.Host("edge-1"); !h.By.Equal(now.Add(time.Minute)) {
		t.Errorf("edge-1 drains by %v", h.By)
	}
	r.Gone("edge-1")
	step("its connection has ended", "silent silent")
	want(cluster.Member{Name: "edge-1"})
	if err := r.Register(now, "edge-1"); err != nil {
		t.Fatal(err)
	}
	step("it has come again", "ready silent")
	if c := r.Tick(now); len(c) != 0 {
		t.Errorf("a second Tick says that %v changed", c)
	}
	if h, _ := r.Host("edge-1"); h.State != placement.Ready {
		t.Errorf("edge-1 is %v", h.State)
	}
}

// Many goroutines use a backend at once. Run with -race.
func testMany(t *testing.T, b cluster.Backend) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				b.Members()
				b.Join(fmt.Sprintf("edge-%d", 1+j%2))
				if err := b.Set(context.Background(), cluster.Member{Name: "edge-1", Want: cluster.Want(i % 3)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := b.Members(); len(got) != 2 {
		t.Errorf("members are %v", got)
	}
}
