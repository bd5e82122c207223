package cachedir

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"time"
)

// A mark is an empty file that says that an owner uses what lies beside it, and by its time, since when. Its name
// has a hash of the owner's, which so leads nowhere else, whatever it is.
const markSuffix = ".own"

// ownerSize is the size of the hash: 128 bits, which nobody finds twice.
const ownerSize = 16

func hash(owner string) string {
	sum := sha256.Sum256([]byte(owner))
	return hex.EncodeToString(sum[:ownerSize])
}

// mark returns the name of the mark of name, of the owner with that hash.
func mark(hash, name string) string { return name + "." + hash + markSuffix }

// parse returns what mark made a name of.
func parse(file string) (name, hash string, ok bool) {
	file, ok = strings.CutSuffix(file, markSuffix)
	i := strings.LastIndexByte(file, '.')
	if !ok || i <= 0 || len(file)-i-1 != 2*ownerSize {
		return "", "", false
	}
	return file[:i], file[i+1:], true
}

// Mark says that owner uses name, a file or folder in dir, now. It is [Evict] that reads marks, and [Used].
// Mark before you put name there, so that it is never without.
func Mark(dir *os.Root, owner, name string) error {
	m := mark(hash(owner), name)
	f, err := dir.OpenFile(m, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	now := time.Now()
	return errors.Join(f.Close(), dir.Chtimes(m, now, now))
}

// Unmark says that owner does not use name.
func Unmark(dir *os.Root, owner, name string) error { return remove(dir, mark(hash(owner), name)) }

// Used returns when owner marked name last, and whether it did.
func Used(dir *os.Root, owner, name string) (at time.Time, ok bool) {
	info, err := dir.Lstat(mark(hash(owner), name))
	if err != nil {
		return at, false
	}
	return info.ModTime(), true
}
