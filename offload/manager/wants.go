package manager

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bungee-xr/bungee/offload/cluster"
)

// Set says what the operator wants of a host from now on. It holds over a restart of the manager.
func (m *Manager) Set(ctx context.Context, want cluster.Member) error {
	if _, ok := m.cfg.Cluster.(cluster.Forgetful); ok {
		if err := m.keep(want); err != nil {
			return err
		}
	}
	if err := m.cfg.Cluster.Set(ctx, want); err != nil {
		return err
	}
	m.do(func(l *ledger, now time.Time) { l.changes(now) })
	return nil
}

// keep has the store keep what the operator wants of a member, before it happens: a disk that is full changes nothing.
func (m *Manager) keep(want cluster.Member) error {
	for _, member := range m.cfg.Cluster.Members() {
		if member.Name == want.Name {
			return m.store.want(want)
		}
	}
	return fmt.Errorf("host %q: %w", want.Name, cluster.ErrNoMember)
}

// restoreWants gives a cluster back what the operator wanted before the manager began.
func (m *Manager) restoreWants() error {
	f, ok := m.cfg.Cluster.(cluster.Forgetful)
	if !ok {
		return nil
	}
	wants, err := m.store.wants()
	if err == nil {
		f.Restore(wants)
	}
	return err
}

// A wantRecord is what the store has of a host.
type wantRecord struct {
	Want string
	By   time.Time `json:",omitzero"`
}

// want takes note of what the operator wants of a host.
func (s *store) want(m cluster.Member) error {
	return s.update(func(tx *bbolt.Tx) error {
		b, name := tx.Bucket(bucketWants), []byte(m.Name)
		switch {
		case m.Want == cluster.Serve:
			return b.Delete(name)
		case b.Get(name) == nil && b.Stats().KeyN >= cluster.MaxMembers:
			return fmt.Errorf("something is wanted of %d hosts, and may be of no more: let some serve", cluster.MaxMembers)
		}
		return putJSON(b, name, wantRecord{m.Want.String(), m.By})
	})
}

// wants returns what the operator wants of hosts that shall not just serve, by name.
func (s *store) wants() (all []cluster.Member, err error) {
	return all, s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketWants).ForEach(func(name, text []byte) error {
			var r wantRecord
			if err := json.Unmarshal(text, &r); err != nil {
				return fmt.Errorf("store %s: what is wanted of %.100q: %w", s.path, name, err)
			}
			for w := cluster.Cordon; w <= cluster.Drain; w++ {
				if w.String() == r.Want {
					all = append(all, cluster.Member{Name: string(name), Want: w, By: r.By})
				}
			}
			return nil
		})
	})
}
