package manager

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload/cluster"
)

// What the operator wants of a host holds over a restart of the manager, also of one that comes back only later.
func TestWantsOutlastTheManager(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		dir := l.issue(identity.Host, "", "edge-1")
		is := func(state, want string) {
			t.Helper()
			host := l.speak(identity.Host, dir)
			defer host.close()
			host.say(wire.Register{Addresses: []string{"h:1"}, Turns: 4})
			hear[wire.Adopted](host)
			pause()
			st, err := l.m.State()
			must(t, err)
			if len(st.Hosts) != 1 || st.Hosts[0].State != state || st.Hosts[0].Want != want {
				t.Errorf("hosts are %+v; want edge-1 %s, as one that shall %s", st.Hosts, state, want)
			}
		}
		set := func(w cluster.Want) {
			t.Helper()
			must(t, l.m.Set(context.Background(), cluster.Member{Name: "edge-1", Want: w, By: time.Now().Add(time.Hour)}))
		}
		again := func() {
			l.end()
			l.begin(nil)
		}
		if err := l.m.Set(context.Background(), cluster.Member{Name: "edge-1", Want: cluster.Drain}); !errors.Is(err, cluster.ErrNoMember) {
			t.Errorf("of a host that has never come something is wanted with %v", err)
		}
		again()
		is("ready", "serve")
		set(cluster.Drain)
		again()
		is("draining", "drain")
		set(cluster.Cordon)
		again()
		is("cordoned", "cordon")
		set(cluster.Serve)
		again()
		is("ready", "serve")
	})
}

// The store keeps so much and no more, and gives back what it was told last.
func TestWants(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s := openTestStore(t, path)
	want := []cluster.Member{{Name: "a", Want: cluster.Drain, By: epoch}, {Name: "b", Want: cluster.Cordon}}
	for _, m := range []cluster.Member{{Name: "b", Want: cluster.Cordon}, {Name: "c", Want: cluster.Drain}, {Name: "a", Want: cluster.Cordon}, want[0], {Name: "c"}, {Name: "d"}} {
		must(t, s.want(m))
	}
	must(t, s.close())
	s = openTestStore(t, path)
	got, err := s.wants()
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	must(t, s.db.Update(func(tx *bbolt.Tx) error {
		for i := range cluster.MaxMembers - 2 {
			must(t, tx.Bucket(bucketWants).Put(fmt.Appendf(nil, "host-%d", i), []byte(`{"Want":"cordon"}`)))
		}
		return nil
	}))
	if err := s.want(cluster.Member{Name: "one more", Want: cluster.Drain}); err == nil || !strings.Contains(err.Error(), "10000 hosts") {
		t.Errorf("a want too many: %v", err)
	}
	must(t, s.want(cluster.Member{Name: "a", Want: cluster.Cordon}))
	must(t, s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketWants).Put([]byte("a"), []byte("{")) }))
	if _, err := s.wants(); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("of a record that is damaged: %v", err)
	}
}

// A store of the schema before has all that it had, and takes wants, whenever the machine ended while it was made so.
func TestStoreOfTheSchemaBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s := openTestStore(t, path)
	must(t, errorOf(s.begin(epoch)))
	must(t, s.revoke("spiffe://bungee/host/lost", epoch))
	want := s.dump()
	must(t, s.db.Update(func(tx *bbolt.Tx) error {
		must(t, tx.DeleteBucket(bucketWants))
		return tx.Bucket(bucketMeta).Put(keySchema, big(1))
	}))
	must(t, s.close())
	before := read(t, path)
	s = openTestStore(t, path)
	if got := s.dump(); got != want {
		t.Errorf("afterwards it has\n%swant\n%s", got, want)
	}
	for _, torn := range crashesBetween(before, read(t, path)) {
		if got := dumpOf(t, torn.file); got != want {
			t.Fatalf("a crash %s: it has\n%s", torn.when, got)
		}
	}
	must(t, s.want(cluster.Member{Name: "a", Want: cluster.Drain}))
}
