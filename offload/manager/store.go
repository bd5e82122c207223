package manager

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/bungee-xr/bungee/internal/wire"
)

// storeSchema is the version of what the store holds. A manager reads no later one, and makes an earlier one its own:
// the first had no wants.
const storeSchema = 2

// Bounds of the store.
const (
	maxRuns    = 8       // whose leases count: leases last a minute before their first use, and hosts know the rest
	maxCodes   = 10_000  // that are not late
	maxIssued  = 1 << 20 // IDs
	maxRevoked = 8000    // IDs, which each host gets when it registers: wire.MaxJoined are the most
	maxKeys    = 2       // this one, and the one before
	keyLife    = 90 * 24 * time.Hour
)

// lockTime is how long a manager waits for another process that has the store.
const lockTime = time.Second

var (
	bucketMeta    = []byte("meta") // schema, epoch
	bucketRuns    = []byte("runs") // by epoch
	bucketKeys    = []byte("keys") // by when they were made
	bucketCodes   = []byte("codes")
	bucketIssued  = []byte("issued")
	bucketRevoked = []byte("revoked")
	bucketWants   = []byte("wants")

	keySchema = []byte("schema")
	keyEpoch  = []byte("epoch")
)

// A store is what the manager keeps over a restart: only what nobody can be asked again. Sessions, leases and
// hosts are not in it: hosts tell those when they register.
//
//	meta     schema, epoch
//	runs     epoch        -> run: the last ones
//	keys     when made    -> seed of the key that signs leases
//	codes    hash of code -> whom it is for, until when, who has used it and with which answer
//	issued   ID           -> its newest certificate: serial number and end
//	revoked  ID           -> when
//	wants    host         -> what the operator wants of it, unless that is to serve, and by when
//
// Each change is one transaction: it is there as a whole, or not at all, whenever the process or
// the machine ends, and when the disk is full.
type store struct {
	path string
	db   *bbolt.DB
}

// openStore opens the store in a file, and makes it if there is none.
func openStore(path string) (*store, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := checkWhole(path); err != nil {
		return nil, err
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTime})
	if err != nil {
		if errors.Is(err, berrors.ErrTimeout) {
			err = errors.New("another process has it; is a manager running here?")
		}
		return nil, fmt.Errorf("store %s: %w", path, err)
	}
	s := &store{path, db}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *store) close() error { return s.db.Close() }

// prepare makes what is missing in a fresh store, or in one of an earlier schema, and checks another.
func (s *store) prepare() error {
	schema, found := uint64(0), false
	if err := s.db.View(func(tx *bbolt.Tx) error {
		if meta := tx.Bucket(bucketMeta); meta != nil {
			schema, found = number(meta.Get(keySchema)), true
		}
		for err := range tx.Check() {
			return err
		}
		return nil
	}); err != nil {
		return fmt.Errorf("store %s is damaged: %w; restore it from a backup", s.path, err)
	}
	switch {
	case schema > storeSchema:
		return fmt.Errorf("store %s is of a later manager (its schema is %d, this one knows %d): run that one", s.path, schema, storeSchema)
	case found && schema == 0:
		return fmt.Errorf("store %s is no manager's; name another file", s.path)
	case schema == storeSchema:
		return nil
	}
	return s.update(func(tx *bbolt.Tx) error {
		for _, b := range [][]byte{bucketMeta, bucketRuns, bucketKeys, bucketCodes, bucketIssued, bucketRevoked, bucketWants} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(keySchema, big(storeSchema))
	})
}

// errStore says that the disk did not take a change.
var errStore = errors.New("the store has not changed")

// update makes one change. An error of the disk says that there is none.
func (s *store) update(f func(*bbolt.Tx) error) error {
	var own error
	err := s.db.Update(func(tx *bbolt.Tx) error {
		own = f(tx)
		return own
	})
	if err != nil && own == nil {
		return fmt.Errorf("%w: %s is as before: %w; is the disk full?", errStore, s.path, err)
	}
	return err
}

// A start is what the store says when a manager begins.
type start struct {
	run   wire.Run
	epoch uint64
	runs  []wire.Run           // whose leases count, this one last
	keys  []ed25519.PrivateKey // the last one signs
}

// begin begins a run.
func (s *store) begin(now time.Time) (b start, err error) {
	rand.Read(b.run[:])
	return b, s.update(func(tx *bbolt.Tx) error {
		meta, runs := tx.Bucket(bucketMeta), tx.Bucket(bucketRuns)
		b.epoch = number(meta.Get(keyEpoch)) + 1
		if err := errors.Join(meta.Put(keyEpoch, big(b.epoch)), runs.Put(big(b.epoch), b.run[:])); err != nil {
			return err
		}
		if err := keepLast(runs, maxRuns); err != nil {
			return err
		}
		b.runs = b.runs[:0]
		if err := runs.ForEach(func(_, run []byte) error {
			if len(run) == len(b.run) {
				b.runs = append(b.runs, wire.Run(run))
			}
			return nil
		}); err != nil {
			return err
		}
		b.keys, err = signingKeys(tx.Bucket(bucketKeys), now)
		return err
	})
}

// signingKeys returns the keys in a bucket, after it has made one if the newest is old.
func signingKeys(b *bbolt.Bucket, now time.Time) (keys []ed25519.PrivateKey, err error) {
	newest, _ := b.Cursor().Last()
	if newest == nil || now.Sub(time.UnixMilli(int64(number(newest)))) > keyLife {
		seed := make([]byte, ed25519.SeedSize)
		rand.Read(seed)
		if err := b.Put(big(uint64(now.UnixMilli())), seed); err != nil {
			return nil, err
		}
	}
	if err := keepLast(b, maxKeys); err != nil {
		return nil, err
	}
	return keys, b.ForEach(func(_, seed []byte) error {
		if len(seed) != ed25519.SeedSize {
			return errors.New("a key of the store has the wrong length")
		}
		keys = append(keys, ed25519.NewKeyFromSeed(seed))
		return nil
	})
}

// keepLast removes all but the last n entries of a bucket.
func keepLast(b *bbolt.Bucket, n int) error {
	var keys [][]byte
	if err := b.ForEach(func(k, _ []byte) error {
		keys = append(keys, append([]byte(nil), k...))
		return nil
	}); err != nil {
		return err
	}
	for _, k := range keys[:max(0, len(keys)-n)] {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// revoke takes note that an ID is revoked, for good.
func (s *store) revoke(id string, now time.Time) error {
	return s.update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketRevoked)
		if b.Get([]byte(id)) != nil {
			return nil
		}
		if b.Stats().KeyN >= maxRevoked {
			return fmt.Errorf("%d IDs are revoked, and no more may be: rotate the authority", maxRevoked)
		}
		return b.Put([]byte(id), big(uint64(now.UnixMilli())))
	})
}

// revoked returns the IDs that are revoked, sorted.
func (s *store) revoked() (ids []string, err error) {
	return ids, s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketRevoked).ForEach(func(id, _ []byte) error {
			ids = append(ids, string(id))
			return nil
		})
	})
}

// An issued certificate is the newest of an ID that the manager has signed.
type issuedCertificate struct {
	ID     string
	Serial string // in hex
	Ends   time.Time
}

// issued returns the certificates that the manager has signed, by ID.
func (s *store) issued() (all []issuedCertificate, err error) {
	return all, s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketIssued).ForEach(func(id, text []byte) error {
			i := issuedCertificate{}
			if err := json.Unmarshal(text, &i); err != nil {
				return fmt.Errorf("store %s: certificate of %.100q: %w", s.path, id, err)
			}
			all = append(all, i)
			return nil
		})
	})
}

// putIssued takes note of a certificate.
func putIssued(tx *bbolt.Tx, i issuedCertificate) error {
	b := tx.Bucket(bucketIssued)
	if b.Get([]byte(i.ID)) == nil {
		n, err := b.NextSequence() // of IDs: none is ever removed
		if err != nil || n > maxIssued {
			return errors.Join(fmt.Errorf("the manager has signed for %d IDs, and may for no more", maxIssued), err)
		}
	}
	return putJSON(b, []byte(i.ID), i)
}

func isRevoked(tx *bbolt.Tx, id string) bool { return tx.Bucket(bucketRevoked).Get([]byte(id)) != nil }

func putJSON(b *bbolt.Bucket, key []byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put(key, text)
}

func big(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// number returns what big has made, 0 of anything else.
func number(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// checkWhole says whether a store's file was cut off: bbolt maps it into memory, and to read
// behind its end would end the process. It reads the two meta pages (bbolt's internal/common/meta.go), of which the one
// of the last transaction counts.
func checkWhole(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	cut := fmt.Errorf("store %s is cut off or no store, at %d bytes; restore it from a backup", path, info.Size())
	page := int64(os.Getpagesize())
	for _, at := range []int64{0, page} {
		var m [80]byte
		if _, err := f.ReadAt(m[:], at); err != nil {
			return cut
		}
		if binary.NativeEndian.Uint32(m[16:]) != metaMagic {
			continue
		}
		page = int64(binary.NativeEndian.Uint32(m[24:]))
		pages := binary.NativeEndian.Uint64(m[56:])
		if page <= 0 || pages > uint64(info.Size()/page) {
			return cut
		}
	}
	return nil
}

// metaMagic begins a meta page of bbolt.
const metaMagic = 0xED0CDAED
