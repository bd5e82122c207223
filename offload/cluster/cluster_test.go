package cluster_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/offload/cluster"
	"github.com/bungee-xr/bungee/offload/cluster/clustertest"
	"github.com/bungee-xr/bungee/offload/placement"
)

func TestStatic(t *testing.T) {
	clustertest.Run(t, func(_ *testing.T, hosts ...string) cluster.Backend { return cluster.Static(hosts...) })
}

func TestEmbedded(t *testing.T) {
	clustertest.Run(t, func(_ *testing.T, hosts ...string) cluster.Backend { return cluster.Embedded(hosts...) })
}

func TestWhoMayJoin(t *testing.T) {
	if err := cluster.Static("a").Join("b"); !errors.Is(err, cluster.ErrNoMember) || !strings.Contains(err.Error(), `"b"`) {
		t.Errorf("a static cluster takes b with %v", err)
	}
	e := cluster.Embedded()
	for i := range cluster.MaxMembers {
		if err := e.Join(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Join("one more"); err == nil || e.Join("7") != nil {
		t.Errorf("a full cluster takes one more with %v", err)
	}
}

// What an operator wanted before is wanted of hosts that are there and of those that join, until he wants something else.
func TestRestore(t *testing.T) {
	for name, b := range map[string]cluster.Backend{"static": cluster.Static("a", "b", "c"), "embedded": cluster.Embedded("a")} {
		b.Members() // as a registry does
		b.(cluster.Forgetful).Restore([]cluster.Member{{Name: "a", Want: cluster.Drain}, {Name: "b", Want: cluster.Cordon}, {Name: "never"}})
		for _, h := range []string{"c", "b", "a"} {
			if err := b.Join(h); err != nil {
				t.Fatal(err)
			}
		}
		want := []cluster.Member{{Name: "a", Want: cluster.Drain}, {Name: "b", Want: cluster.Cordon}, {Name: "c"}}
		if got := b.Members(); !slices.Equal(got, want) {
			t.Errorf("%s: members are %v, want %v", name, got, want)
		}
		if err := b.Set(t.Context(), cluster.Member{Name: "b"}); err != nil {
			t.Fatal(err)
		}
		if err := b.Join("b"); err != nil || b.Members()[1].Want != cluster.Serve {
			t.Errorf("%s: b shall serve again, and members are %v, %v", name, b.Members(), err)
		}
	}
}

// A beat of a host that never registered counts for nothing, and one that left the cluster is told once.
func TestStrangersAreSilent(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	b := &shrinking{cluster.Static("a"), false}
	r := cluster.New(b, 0)
	r.Beat(now, "b")
	r.Gone("b")
	r.Tick(now)
	r.Beat(now, "a")
	if c := r.Tick(now); len(c) != 0 || len(r.Hosts()) != 1 {
		t.Errorf("changes %v of hosts %v", c, r.Hosts())
	}
	if err := r.Register(now, "a"); err != nil {
		t.Fatal(err)
	}
	r.Tick(now)
	b.gone = true
	want := cluster.Change{Host: "a", From: placement.Ready, To: placement.Silent}
	if c := r.Tick(now); len(c) != 1 || c[0] != want || len(r.Hosts()) != 0 {
		t.Errorf("changes %v of hosts %v", c, r.Hosts())
	}
}

// A shrinking backend loses its members.
type shrinking struct {
	cluster.Backend
	gone bool
}

func (s *shrinking) Members() []cluster.Member {
	if s.gone {
		return nil
	}
	return s.Backend.Members()
}
