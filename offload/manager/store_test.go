package manager

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bungee-xr/bungee/offload/cluster"
)

// count returns how many entries a bucket has.
func (s *store) count(bucket []byte) (n int) {
	s.db.View(func(tx *bbolt.Tx) error {
		n = tx.Bucket(bucket).Stats().KeyN
		return nil
	})
	return n
}

// dump returns all that is in the store.
func (s *store) dump() string {
	var b strings.Builder
	err := s.db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
			return bucket.ForEach(func(k, v []byte) error {
				fmt.Fprintf(&b, "%s %x %x\n", name, k, v)
				return nil
			})
		})
	})
	if err != nil {
		return err.Error()
	}
	return b.String()
}

// Each start has a higher epoch and a run of its own; the last runs and the key count on.
func TestStarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "store")
	var before start
	for i := range maxRuns + 2 {
		s := openTestStore(t, path)
		b, err := s.begin(epoch.Add(time.Duration(i) * time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if b.epoch != uint64(i+1) || b.run == before.run || b.runs[len(b.runs)-1] != b.run || len(b.runs) != min(i+1, maxRuns) {
			t.Fatalf("start %d: epoch %d, run %x of %x", i, b.epoch, b.run, b.runs)
		}
		if i > 0 && (!slices.Contains(b.runs, before.run) || !b.keys[0].Equal(before.keys[0]) || len(b.keys) != 1) {
			t.Errorf("start %d: the run before, or its key, does not count any longer", i)
		}
		before = b
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
	s := openTestStore(t, path)
	for i := range 3 {
		b, err := s.begin(epoch.Add(time.Duration(i+1) * (keyLife + time.Hour)))
		if err != nil || len(b.keys) != 2 || b.keys[1].Equal(before.keys[len(before.keys)-1]) || !b.keys[0].Equal(before.keys[len(before.keys)-1]) {
			t.Fatalf("an old key is not replaced, or does not count any longer: %d keys, %v", len(b.keys), err)
		}
		before = b
	}
}

// What cannot be read is said, and nothing is written.
func TestStoresOfOthers(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "store")
	s := openTestStore(t, whole)
	if _, err := s.begin(epoch); err != nil {
		t.Fatal(err)
	}
	s.close()
	text, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	change := func(f func(tx *bbolt.Tx) error) []byte {
		path := filepath.Join(t.TempDir(), "store")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Update(f), db.Close()); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	tests := map[string]struct {
		text []byte
		want string
	}{
		"of a later version": {change(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keySchema, big(storeSchema+1)) }), "is of a later manager"},
		"of another program": {change(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keySchema) }), "is no manager's"},
		"cut off":            {text[:4*os.Getpagesize()], "is cut off"},
		"cut to one page":    {text[:os.Getpagesize()], "is cut off"},
		"cut in a page":      {text[:100], "is cut off"},
		"no store":           {bytes.Repeat([]byte("text "), 10_000), "invalid database"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store")
			if err := os.WriteFile(path, tt.text, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := openStore(path)
			if err == nil {
				s.close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v; want the file's name and %q", err, tt.want)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, tt.text) {
				t.Errorf("the file has changed, %v", err)
			}
		})
	}
}

func TestStoreIsTaken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	openTestStore(t, path)
	if _, err := openStore(path); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second manager gets %v", err)
	}
}

// A step is a change of the store.
type step struct {
	name string
	do   func(t *testing.T, s *store, c *steps)
}

// steps is what later steps need of earlier ones.
type steps struct {
	ca   issuer
	code [16]byte
}

var allSteps = []step{
	{"begin", func(t *testing.T, s *store, _ *steps) { must(t, errorOf(s.begin(epoch))) }},
	{"add a code", func(t *testing.T, s *store, c *steps) {
		code, err := s.addCode(c.ca.ue("a"), c.ca.fingerprint(), epoch)
		must(t, err)
		c.code = code.Secret
	}},
	{"use it", func(t *testing.T, s *store, c *steps) {
		key := newKey(t)
		_, _, err := s.useCode(c.code, &key.PublicKey, epoch, c.ca.sign(&key.PublicKey))
		must(t, err)
	}},
	{"renew", func(t *testing.T, s *store, c *steps) {
		key := newKey(t)
		must(t, errorOf(s.renew(c.ca.ue("a"), c.ca.sign(&key.PublicKey))))
	}},
	{"revoke", func(t *testing.T, s *store, c *steps) { must(t, s.revoke(c.ca.ue("a").String(), epoch)) }},
	{"want", func(t *testing.T, s *store, _ *steps) {
		must(t, s.want(cluster.Member{Name: "edge-1", Want: cluster.Drain, By: epoch}))
	}},
	{"want another", func(t *testing.T, s *store, _ *steps) {
		must(t, s.want(cluster.Member{Name: "edge-1", Want: cluster.Cordon}))
	}},
	{"want it to serve", func(t *testing.T, s *store, _ *steps) { must(t, s.want(cluster.Member{Name: "edge-1"})) }},
	{"drop late codes", func(t *testing.T, s *store, c *steps) {
		must(t, errorOf(s.addCode(c.ca.ue("b"), c.ca.fingerprint(), epoch.Add(time.Hour))))
	}},
	{"begin again", func(t *testing.T, s *store, _ *steps) { must(t, errorOf(s.begin(epoch.Add(2*keyLife)))) }},
}

func errorOf[T any](_ T, err error) error { return err }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The machine ends between any two writes of a change: then the store is as before the change, or as after it. bbolt
// writes the pages that are new, and then one of its two meta pages; between two of these writes any of the first may
// be on the disk, torn ones included.
func TestCrashBetweenAnyTwoWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s, c := openTestStore(t, path), &steps{ca: newIssuer(t)}
	before, was := read(t, path), s.dump()
	crashes := 0
	for _, step := range allSteps {
		step.do(t, s, c)
		after, is := read(t, path), s.dump()
		if is == was {
			t.Fatalf("%s changes nothing", step.name)
		}
		for _, torn := range crashesBetween(before, after) {
			crashes++
			if got := dumpOf(t, torn.file); got != was {
				t.Fatalf("%s, a crash %s: the store is neither as before nor as after:\n%s", step.name, torn.when, got)
			}
		}
		if got := dumpOf(t, after); got != is {
			t.Fatalf("%s: the file is not what the store says", step.name)
		}
		before, was = after, is
	}
	if crashes < 3*len(allSteps) {
		t.Errorf("only %d crashes were tried", crashes)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

func dumpOf(t *testing.T, file []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store")
	must(t, os.WriteFile(path, file, 0o600))
	s, err := openStore(path)
	if err != nil {
		t.Fatalf("the store cannot be opened: %v", err)
	}
	defer s.close()
	return s.dump()
}

// A crash is a file as a crash has left it.
type crash struct {
	when string
	file []byte
}

// crashesBetween returns what may be on the disk before the meta page of a change is written as a whole.
func crashesBetween(before, after []byte) (all []crash) {
	page := os.Getpagesize()
	file := append(bytes.Clone(before), make([]byte, max(0, len(after)-len(before)))...)
	add := func(format string, args ...any) {
		all = append(all, crash{fmt.Sprintf(format, args...), bytes.Clone(file)})
	}
	add("before the first write")
	var metas []int
	for at := 0; at < len(after); at += page {
		if bytes.Equal(file[at:at+page], after[at:at+page]) {
			continue
		}
		if at < 2*page {
			metas = append(metas, at)
			continue
		}
		half := at + page/2
		copy(file[at:half], after[at:half])
		add("within page %d", at/page)
		copy(file[half:at+page], after[half:at+page])
		add("after page %d", at/page)
	}
	if len(metas) == 1 { // a change writes one; torn, it has a wrong sum
		at := metas[0]
		copy(file[at:at+60], after[at:at+60])
		add("within the meta page")
	}
	return all
}
